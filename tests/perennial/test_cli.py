"""The commands, as a user calls them, against a small real server."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import click
import pytest
from click.testing import CliRunner

from perennial.cli import COMMANDS, main
from perennial.cli.lazy import LazyGroup
from perennial.cli.serve import ENGINES
from tests.perennial.conftest import Run
from tests.perennial.small_server import SmallServer

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    path = tmp_path / "examples.csv"
    path.write_text("text,label\n" + "".join(f"text {n},label {n % 2}\n" for n in range(5)))
    return path


def test_help_lists_every_command_and_imports_none() -> None:
    program = (
        "import sys; from perennial.cli import main; main(['--help'], standalone_mode=False); "
        "slow = {'httpx', 'pydantic', 'rich', 'benchmarks', 'serving', 'numpy', 'torch'}; "
        "assert not slow & set(sys.modules), slow & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in (*COMMANDS, "bench"):
        assert f"\n  {name} " in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_of_its_own(run: Run, name: str) -> None:
    said = run(name, "--help").stdout
    assert said.startswith(f"Usage: main {name} ")
    assert ("--json" in said) == (name not in ("serve", "store", "versions", "canary", "keys"))


def test_version(run: Run) -> None:
    assert version("perennial") in run("--version").stdout


@pytest.mark.parametrize("address", ["no_such_room:bench", "perennial:nothing", "json:loads"])
def test_a_plug_in_that_cannot_be_loaded_is_named(address: str) -> None:
    group = LazyGroup("x", commands_at={"bad": (address, "")}, plugins="nobody")
    result = CliRunner().invoke(group, ["bad"])
    assert result.exit_code == 1
    assert address in result.stderr


def test_a_plug_in_cannot_take_a_name_that_is_taken() -> None:
    group = LazyGroup(
        "x", commands_at={"bench": ("perennial.cli.info:info", "")}, plugins="perennial.commands"
    )
    command = group.get_command(click.Context(group), "bench")
    assert command is not None
    assert command.name == "info"


def test_learn_sends_in_batches_and_waits_until_published(
    run: Run, server: SmallServer, examples: Path
) -> None:
    server.events = [
        ("progress", {"task": "mail", "phase": "training", "epoch": 1, "epochs": 3, "loss": 0.5}),
        ("progress", {"task": "other", "phase": "training"}),
    ]
    result = run("learn", "mail", examples, "--batch-size", 2)
    sent = [one.body["examples"] for one in server.calls("/v1/tasks/mail/examples")]
    assert [len(one) for one in sent] == [2, 2, 1]
    assert sent[2] == [{"input": "text 4", "label": "label 0"}]
    assert result.stdout == "5 examples of mail: published in version 8\n"
    assert "5/5" in result.stderr


@pytest.mark.parametrize(
    ("wait", "status"), [("none", "queued"), ("refreshed", "refreshed"), ("published", "published")]
)
def test_learn_waits_as_told_and_prints_json(
    run: Run, examples: Path, wait: str, status: str
) -> None:
    result = run("learn", "mail", examples, "--wait", wait, "--json")
    assert [one["status"] for one in json.loads(result.stdout)["batches"]] == [status]
    assert result.stderr == ""


def test_learn_ends_with_1_when_the_batch_fails(
    run: Run, server: SmallServer, examples: Path
) -> None:
    server.ends_as = "failed"
    result = run("learn", "mail", examples, code=1)
    assert "Error: batch b1 failed: no such label" in result.stderr


def test_learn_says_where_the_gate_refused(run: Run, server: SmallServer, examples: Path) -> None:
    server.gate_refuses = True
    assert run("learn", "mail", examples).stdout == (
        "5 examples of mail: labels usable since version 7; the new prompt was not better on "
        "held-out examples and does not serve (perennial versions 8)\n"
    )


def test_learn_counts_to_the_state_it_waits_for(run: Run, examples: Path) -> None:
    result = run("learn", "mail", examples, "--wait", "refreshed", "--batch-size", 3)
    assert result.stdout == "5 examples of mail: usable since version 8\n"
    assert "2/2" in result.stderr


def test_learn_reads_a_json_file_like_those_in_examples(
    run: Run, server: SmallServer, tmp_path: Path
) -> None:
    (tmp_path / "a.json").write_text('{"examples": [{"input": "a", "label": "x"}]}')
    run("learn", "mail", tmp_path / "a.json", "--wait", "none")
    assert server.seen[0].body == {"examples": [{"input": "a", "label": "x"}]}


def test_learn_says_how_much_was_sent_before_a_refusal(
    run: Run, server: SmallServer, examples: Path
) -> None:
    server.refuses_from_batch = 2
    said = run("learn", "mail", examples, "--batch-size", 2, code=1).stderr
    assert "Error: no such label (4 of 5 examples had been sent before" in said


@pytest.mark.parametrize("task", ["a/b", "a\tb", "a" * 129, ""])
def test_learn_sends_nothing_under_a_task_name_that_cannot_be(
    run: Run, server: SmallServer, examples: Path, task: str
) -> None:
    assert "the task's name cannot be used: a name" in run("learn", task, examples, code=2).stderr
    assert server.seen == []


def test_learn_ends_with_1_when_it_takes_too_long(run: Run, examples: Path) -> None:
    assert "not lost" in run("learn", "mail", examples, "--timeout", 0, code=1).stderr


def test_learn_sends_nothing_of_a_file_with_a_bad_line(
    run: Run, server: SmallServer, examples: Path
) -> None:
    with examples.open("a") as file:
        file.write("no label\n")
    assert f"{examples}:7: " in run("learn", "mail", examples, "--batch-size", 1, code=1).stderr
    assert server.seen == []


def test_classify_prints_a_table(run: Run, examples: Path) -> None:
    run("learn", "mail", examples, "--wait", "none")
    lines = run("classify", "first", "s" * 80, "--task", "mail").stdout.splitlines()
    assert lines[0].split() == ["input", "class", "score", "novelty"]
    assert lines[1].split() == ["first", "mail/label", "0", "0.500", "0.250"]
    assert lines[2].split() == ["mail/label", "1", "0.333"]
    assert lines[3].split()[0] == "s" * 59 + "…"


def test_classify_reads_files_and_prints_json(
    run: Run, server: SmallServer, tmp_path: Path
) -> None:
    (tmp_path / "texts.txt").write_text("\ufeffone\n\ntwo\n")
    (tmp_path / "cat.PNG").write_bytes(PNG)
    result = run(
        "classify", "zero", "--file", tmp_path / "texts.txt", "--file", tmp_path / "cat.PNG",
        "--json", "--version", 3, "--min-version", 2, "--top-k", 1,
    )  # fmt: skip
    (call,) = server.calls("/v1/classify")
    assert call.body == ["zero", "one", "two", {"image": "iVBORw0KGgo="}]
    assert call.query == {"top_k": "1", "version": "3", "min_version": "2"}
    assert [json.loads(line)["version"] for line in result.stdout.splitlines()] == [3] * 4


def test_a_long_file_is_one_table(run: Run, examples: Path, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("a longer text\n" + "text\n" * 69)
    run("learn", "mail", examples, "--wait", "none")
    result = run("classify", "--file", texts, "--top-k", 1)
    heading, *rows = result.stdout.splitlines()
    assert heading.split() == ["input", "class", "score", "novelty"]
    assert len(rows) == 70
    assert len({row.index("mail/label") for row in rows}) == 1
    assert result.stderr.splitlines() == ["version 7"]
    assert len(run("classify", "--file", texts, "--json").stdout.splitlines()) == 70


def test_classify_names_what_the_server_refuses(
    run: Run, server: SmallServer, examples: Path
) -> None:
    run("learn", "mail", examples, "--wait", "none")
    server.bad_input = "bad"
    result = run("classify", "good", "bad", "fine", "--top-k", 1, code=1)
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["input", "good", "fine"]
    assert "bad: not this one\n" in result.stderr
    assert "1 inputs could not be classified" in result.stderr
    said = run("classify", "bad", "--json", code=1)
    assert json.loads(said.stdout)["error"]["status"] == 422


def test_classify_reads_the_texts_of_the_files_that_learn_reads(
    run: Run, server: SmallServer, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text('id,text\n1,"one, two"\n')
    (tmp_path / "b.jsonl").write_text('{"text": "three", "label": "x"}\n')
    run("classify", "--file", tmp_path / "a.csv", "--file", tmp_path / "b.jsonl")
    assert server.seen[0].body == ["one, two", "three"]
    (tmp_path / "a.csv").write_text("txt\none\n")
    assert "a.csv:1: the header lacks ['text']" in run(
        "classify", "--file", tmp_path / "a.csv", code=2
    ).stderr  # fmt: skip


def test_classify_says_what_it_lacks(run: Run, tmp_path: Path) -> None:
    assert "Nothing to classify" in run("classify", code=2).stderr
    (tmp_path / "binary.dat").write_bytes(b"\xff\xfe\x00")
    assert "neither UTF-8 text" in run("classify", "--file", tmp_path / "binary.dat", code=2).stderr


def test_tasks_versions_promote_and_forget(run: Run, examples: Path) -> None:
    run("learn", "mail", examples, "--wait", "none")
    assert run("tasks").stdout.splitlines()[1].split() == ["mail", "2", "10", "mail", "domain"]
    assert json.loads(run("tasks", "--json").stdout)[0]["labels"] == ["label 0", "label 1"]
    rows = [line.split() for line in run("versions").stdout.splitlines()]
    assert rows[1:] == [
        ["live", "8", "train", "2030-01-01", "00:00:00", "1", "0", "–"],
        ["7", "refresh", "2030-01-01", "00:00:00", "1", "0", "35/42", "+", "8", "new"],
    ]
    assert "versions --before 8" in run("versions", "--limit", 1).stderr
    assert json.loads(run("versions", "--before", 8, "--json").stdout)["live"] == 8
    assert ["batches", '["b"]'] in [row.split() for row in run("versions", 7).stdout.splitlines()]
    assert "version 9 is live" in run("promote", 7).stdout
    assert json.loads(run("promote", 7, "--json").stdout)["source"] == 7
    run("promote", "seven", code=2)
    assert run("versions", "pin", 7).stdout == "version 7 is pinned\n"
    assert json.loads(run("versions", "pin", 7, "--json").stdout)["pinned"]
    assert run("versions", "unpin", 7).stdout == "version 7 is not pinned\n"
    run("versions", "pin", code=2)
    run("forget", "mail", code=1)  # nobody says yes
    assert run("forget", "mail", "--yes").stdout == (
        "mail: forgotten in version 9: 5 examples, 2 classes, 1 prompts\n"
    )
    assert json.loads(run("tasks", "--json").stdout) == []


def test_forget_a_class_or_examples_and_say_what_came_of_it(
    run: Run, server: SmallServer, tmp_path: Path
) -> None:
    server.labels["mail"] = ["refund", "order"]
    asked = run("forget", "mail", "--label", "refund", "--timeout", 0, "--yes").stdout
    assert asked == "mail: forgetting (GET /v1/erasures/e1 says what came of it)\n"
    assert server.labels["mail"] == ["order"]
    server.forgotten |= {
        "not_found": 1,
        "exact": False,
        "older_versions": [{"first": 2, "last": 8}],
        "deletable_from": "2030-01-01T01:00:00Z",
    }
    assert run("forget", "mail", "--ids", "a, b,", "--yes").stdout.splitlines() == [
        "mail: forgotten in version 9: 2 examples, 2 classes, 1 prompts",
        "ids of which no example was kept any more: 1",
        "not exactly: without kept examples, the spread that classes share stays",
        "versions 2 to 8 hold what they held; they may be deleted from 2030-01-01 01:00+00:00 on",
    ]
    (tmp_path / "ids").write_text("a\nb\n\nc\n")
    done = run("forget", "mail", "--ids-file", tmp_path / "ids", "--yes", "--json")
    assert json.loads(done.stdout)["examples"] == 3
    assert server.calls("/v1/tasks/mail/examples/forget")[1].body == {"ids": ["a", "b", "c"]}


def test_forget_asks_first_and_refuses_two_ways_at_once(run: Run, server: SmallServer) -> None:
    assert (
        "Forget the class 'a' of the task 'mail'"
        in run("forget", "mail", "--label", "a", code=1).stderr
    )
    assert "Forget 2 examples" in run("forget", "mail", "--ids", "a,b", code=1).stderr
    assert "one of" in run("forget", "mail", "--ids", "a", "--label", "b", code=2).stderr
    assert "no id" in run("forget", "mail", "--ids", ",", code=2).stderr
    assert server.seen == []


def test_versions_show_fences_only_when_asked(run: Run, server: SmallServer) -> None:
    server.fenced = True
    assert "fence" not in run("versions").stdout
    assert "fence" in run("versions", "--all").stdout


def test_promote_says_what_is_no_longer_known(run: Run, server: SmallServer) -> None:
    server.labels["mail"] = ["billing", "card", "refund"]
    server.older = {"mail": ["refund"]}
    assert run("promote", 7).stdout.splitlines() == [
        "version 9 is live, with the content of version 7",
        "no longer known: mail/billing, mail/card (promote 8 to have them back)",
    ]
    assert "no longer" not in run("promote", 9).stdout


def test_canary(run: Run, server: SmallServer) -> None:
    run("canary", "start", 7, code=2)  # how large a share?
    run("canary", "start", 7, "--percent", 0, code=2)
    started = run("canary", "start", 7, "--percent", 5, "--latency-ratio", 2).stdout
    assert server.calls("/v1/canary")[0].body["rules"] == {"latency_ratio": 2.0}
    assert started == run("canary", "status").stdout
    assert [line.split() for line in started.splitlines()] == [
        ["version", "7", "gets", "5", "%", "of", "unpinned", "requests"],
        ["requests", "median", "s", "right", "of", "4", "told"],
        ["canary", "5", "0.010", "0.500"],
        ["live", "95", "0.009", "0.750"],
        ["inputs", "that", "both", "answered:", "4,", "75.0", "%", "alike;", "errors:", "0"],
    ]
    assert "version 9 is live, with the content of version 7" in run("canary", "promote").stdout
    assert server.calls("/v1/versions/7/promote")
    assert run("canary", "stop").stdout.splitlines() == [
        "no canary is under way",
        "the last one (version 7) ended at 2030-01-01 00:00:00 UTC:",
        "  a caller ended it",
    ]
    assert "no canary is under way" in run("canary", "promote", code=1).stderr
    assert json.loads(run("canary", "status", "--json").stdout)["canary"] is None


def test_a_version_shows_the_gate_report_in_lines(run: Run, server: SmallServer) -> None:
    verdict = {"protocol": "task", "accepted": False, "reason": "no gain", "wins": 1}
    accuracy = {"live": 0.9, "candidate": 0.875}
    server.gate = {"task": "mail", "accepted": False, "prompt": {**verdict, "accuracy": accuracy}}
    said = run("versions", 8).stdout.splitlines()
    assert said[-2:] == [
        "gate: task mail: refused",
        "  prompt: (task) refused, no gain; accuracy: live 0.900, candidate 0.875",
    ]
    assert json.loads(run("versions", 8, "--json").stdout)["gate"] == server.gate


def test_feedback_tells_the_truth_or_shows_live_accuracy(run: Run, server: SmallServer) -> None:
    assert run("feedback", "r1", "refund").stdout == "right: version 7, task mail\n"
    said = run("feedback", "r0", "glad", "--task", "mood").stdout
    assert said == "wrong: version 7, task mood, counted before\n"
    truth = {"prediction_id": "r0", "label": "glad", "task": "mood"}
    assert server.calls("/v1/feedback")[1].body == {"feedback": [truth], "learn": False}
    assert json.loads(run("feedback", "r1", "refund", "--json").stdout)["batch"] is None
    assert run("feedback").stdout.splitlines()[1].split() == ["7", "mail", "0.750", "3", "1", "0"]
    assert json.loads(run("feedback", "--json").stdout)["accuracy"][0]["right"] == 3
    assert "the true label too" in run("feedback", "r1", code=2).stderr


def test_info(run: Run) -> None:
    assert '{"name": "minilm"}' in run("info").stdout
    assert json.loads(run("info", "--json").stdout)["name"] == "perennial"


def test_watch_prints_events_until_the_stream_or_the_count_ends(
    run: Run, server: SmallServer
) -> None:
    server.events = [
        ("published", {"kind": "published", "at": 0.0, "version": 8, "task": None}),
        (
            "progress",
            {"task": "mail", "phase": "training", "epoch": 2, "epochs": 5, "loss": 0.4321},
        ),
        (
            "refreshed",
            {
                "version": 9,
                "batches": ["kZ4"],
                "prequential": {"mail": {"rows": 40, "right": 33, "new": 8}},
            },
        ),
        ("candidate", {"version": 10, "later": "more"}),
    ]
    result = run("watch")
    assert result.stderr == f"watching {server.url}: live version 8\n"
    assert [line.partition("  ")[2] for line in result.stdout.splitlines()] == [
        "published  version 8",
        "progress   mail: training, epoch 2 of 5, loss 0.43",
        "refreshed  version 9, 1 batch, answered before: 33/40 + 8 new",
        "candidate  version 10, later=more (perennial versions 10)",
    ]
    (line,) = run("watch", "--json", "--count", 1).stdout.splitlines()
    assert json.loads(line)["event"] == "published"


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (401, "PERENNIAL_KEY"),
        (403, "scope"),
        (404, "no such thing"),
        (413, "--batch-size"),
    ],
)
def test_a_refusal_is_one_line_with_a_remedy(
    run: Run, server: SmallServer, status: int, remedy: str
) -> None:
    server.refuse(status, detail="no such thing")
    (line,) = run("promote", 3, code=1).stderr.splitlines()
    assert line.startswith("Error: no such thing")
    assert remedy in line


@pytest.mark.parametrize(
    ("kind", "passes"), [("version-not-loaded", True), ("not-promotable", False)]
)
def test_only_what_passes_by_is_to_be_tried_again(
    run: Run, server: SmallServer, kind: str, passes: bool
) -> None:
    server.refuse(409, type=f"https://perennial.dev/problems/{kind}")
    assert ("in a moment" in run("promote", 3, code=1).stderr) == passes


def test_ctrl_c_ends_a_server_without_complaint(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(ModuleType):
        @staticmethod
        def run(settings: object, announce: object) -> None:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "interrupted_engine", Interrupted("interrupted_engine"))
    monkeypatch.setitem(ENGINES, "local", "interrupted_engine")
    result = CliRunner().invoke(main, ["serve", "--engine", "local"])
    assert (result.exit_code, result.output) == (0, "")


def test_no_server_says_how_to_start_one(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    assert "perennial serve" in run("promote", 3, "--url", url, code=1).stderr


def test_key_from_flag_or_environment_reaches_the_server(run: Run, server: SmallServer) -> None:
    run("info", "--key", "secret")
    assert server.seen[0].headers["authorization"] == "Bearer secret"
    CliRunner().invoke(main, ["info", "--url", server.url], env={"PERENNIAL_KEY": "other"})
    assert server.seen[1].headers["authorization"] == "Bearer other"


@pytest.mark.parametrize("command", [["info"], ["learn", "mail", "{examples}"]])
def test_a_url_that_is_none_is_a_mistake_of_usage(
    run: Run, examples: Path, command: list[str]
) -> None:
    arguments = [one.format(examples=examples) for one in command]
    assert "must look like" in run(*arguments, "--url", "nowhere", code=2).stderr
