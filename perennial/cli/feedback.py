"""`perennial feedback`"""

from __future__ import annotations

import click

from perennial.cli.connection import Connection, connected
from perennial.cli.output import print_json, print_table


@click.command()
@click.argument("prediction", required=False)
@click.argument("label", required=False)
@click.option("--task", help="The true task, where it is not the one that was predicted.")
@connected
def feedback(
    connection: Connection, prediction: str | None, label: str | None, task: str | None
) -> None:
    """Tell the true LABEL of a PREDICTION, by the id that `classify --json` printed.

    Without them: live accuracy, by the feedback that the replica which answers has got.
    """
    if prediction is None:
        _show(connection)
    elif label is None:
        raise click.UsageError("say the true label too: perennial feedback PREDICTION LABEL")
    else:
        _tell(connection, prediction, label, task)


def _tell(connection: Connection, prediction: str, label: str, task: str | None) -> None:
    truth = {"prediction_id": prediction, "label": label} | ({} if task is None else {"task": task})
    with connection.client() as client:
        heard = client.feedback([truth])
    if connection.json:
        print_json(heard)
        return
    (one,) = heard.feedback
    again = ", counted before" if one.repeated else ""
    click.echo(f"{one.outcome}: version {one.version}, task {one.task}{again}")


def _show(connection: Connection) -> None:
    with connection.client() as client:
        live = client.live_accuracy()
    if connection.json:
        print_json(live)
        return
    rows = [
        (one.version, one.task, one.accuracy, one.right, one.wrong, one.new)
        for one in live.accuracy
    ]
    print_table(("version", "task", "accuracy", "right", "wrong", "new"), rows)
