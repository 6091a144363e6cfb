"""`perennial keys …` on a store on disk, as a user calls it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from perennial.cli import main
from prompt_store import LocalBackend, Store, digest_of


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["keys", *map(str, arguments)], env={"COLUMNS": "200"})
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def test_the_first_key_needs_no_server_and_no_store(tmp_path: Path) -> None:
    place = ("--store", tmp_path / "store")
    made = run("create", "ops", "--scope", "admin", *place)
    secret = made.stdout.removesuffix("\n")
    assert re.fullmatch(r"pk_[0-9A-Za-z]{43}", secret)
    assert "demand one" in made.stderr
    terms = Store.existing(LocalBackend(tmp_path / "store")).keys.known()["ops"].terms
    assert (terms.digest, terms.scopes) == (digest_of(secret.encode()), ("admin",))
    second = run("create", "ci", "--scope", "learn", "--scope", "predict", "--json", *place)
    assert json.loads(second.stdout)["name"] == "ci"
    assert second.stderr == ""


def test_list_tells_what_each_allows_and_whether_it_still_does(tmp_path: Path) -> None:
    place = ("--store", tmp_path)
    flags = ("--rate", "2.5", "--burst", "7", "--expires", "2999-01-31")
    secret = run("create", "ci", "--scope", "learn", *flags, *place).stdout.strip()
    run("create", "old", "--scope", "predict", *place)
    assert "old: revoked\n" in run("revoke", "old", *place).stdout
    assert "revoked before" in run("revoke", "old", *place).stdout
    said = run("list", *place).stdout
    _, ci, old = said.splitlines()
    assert re.search(r"^ci +learn +2.5 +7 .* cli:\S+@\S+ +until 2999-01-31 00:00:00", ci)
    assert re.search(r"^old +predict .* revoked \d{4}-", old)
    first, second = json.loads(run("list", "--json", *place).stdout)
    assert (first["name"], first["revoked_at"]) == ("ci", None)
    assert second["revoked_at"] is not None
    assert secret not in said


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["create", "taken", "--scope", "learn"], 1, "before: give this one another name"),
        (["create", "a b", "--scope", "learn"], 2, "name 'a b'"),
        (["create", "this-machine", "--scope", "learn"], 2, "without keys"),
        (["create", "new", "--scope", "learn", "--expires", "2020-01-01"], 2, "is past"),
        (["create", "new", "--scope", "learn", "--rate", "0"], 2, "0.0"),
        (["create", "new", "--scope", "root"], 2, "root"),
        (["create", "new"], 2, "--scope"),
        (["revoke", "nobody"], 1, "perennial keys list"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(
    tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    place = ("--store", tmp_path)
    run("create", "taken", "--scope", "learn", *place)
    assert message in run(*arguments, *place, code=code).stderr
    assert len(Store.existing(LocalBackend(tmp_path)).keys.entries()) == 1


def test_only_create_makes_a_store(tmp_path: Path) -> None:
    for arguments in (["list"], ["revoke", "ops"]):
        said = run(*arguments, "--store", tmp_path / "nowhere", code=1).stderr
        assert "There is no store" in said
    assert list(tmp_path.iterdir()) == []
