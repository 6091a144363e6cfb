"""The command `perennial`. Commands are imported when they are used, never for `--help`."""

import click

from perennial.cli.lazy import LazyGroup

COMMANDS = {
    "serve": ("perennial.cli.serve:serve", "Start a server."),
    "classify": ("perennial.cli.classify:classify", "Classify texts or images."),
    "learn": (
        "perennial.cli.learn:learn",
        "Teach a task: a file of texts, a folder of images.",
    ),
    "feedback": (
        "perennial.cli.feedback:feedback",
        "Tell the truth about a prediction, or show live accuracy.",
    ),
    "tasks": ("perennial.cli.tasks:tasks", "List the tasks the server knows."),
    "forget": ("perennial.cli.forget:forget", "Forget a task, a class or examples."),
    "versions": (
        "perennial.cli.versions:versions",
        "List versions, and which one is live; pin one.",
    ),
    "promote": ("perennial.cli.promote:promote", "Make a kept version live again."),
    "canary": (
        "perennial.cli.canary:canary",
        "Try a version on a share of the requests, watch it, end it.",
    ),
    "watch": ("perennial.cli.watch:watch", "Follow what the server does, live."),
    "store": (
        "perennial.cli.store:store",
        "Check, count, clean, export or import a store, without a server.",
    ),
    "audit": ("perennial.cli.audit:audit", "Show who changed what, without a server."),
    "keys": ("perennial.cli.keys:keys", "Create, list and revoke keys, without a server."),
    "info": ("perennial.cli.info:info", "Say what the server is."),
}
PLUGINS = "perennial.commands"


@click.group(
    cls=LazyGroup,
    commands_at=COMMANDS,
    plugins=PLUGINS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="perennial")
def main() -> None:
    """A classification server that keeps learning."""
