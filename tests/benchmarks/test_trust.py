"""`perennial bench crash` and `race` in their short forms: real processes, killed and racing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from perennial.cli import main
from tests.backbones.models import SUPPORTED, save
from tests.prompt_store import bucket_servers
from tests.prompt_store.bucket_servers import AZURITE, BUCKET

pytestmark = pytest.mark.long

needs_azurite = pytest.mark.skipif(
    AZURITE is None, reason="azurite-blob is not on the PATH: npm install --global azurite"
)


@pytest.fixture
def servers() -> Iterator[None]:
    """Of buckets."""
    with ExitStack() as running:
        for server in [bucket_servers.s3, *([bucket_servers.azure] if AZURITE else [])]:
            environment = running.enter_context(server())
            running.enter_context(bucket_servers.set_in(environment))
        yield


def test_kills_under_load_lose_nothing_and_learn_nothing_twice(tmp_path: Path) -> None:
    folder, out = save(SUPPORTED["bert"], tmp_path / "bert"), tmp_path / "crash.json"
    arguments = ["--backbone", folder, "--kills", 4, "--pause", 1, "--json", out]
    result = CliRunner().invoke(
        main, ["bench", "crash", *map(str, arguments), "--", "--runtime", "torch"]
    )
    assert result.exit_code == 0, result.output
    content = orjson.loads(out.read_bytes())
    assert content["holds"]
    assert sum(content["kills"].values()) == 4
    assert content["verdict"]["acknowledged"] > 0
    assert content["answers"] > 0


@pytest.mark.parametrize("place", ["local", "s3", pytest.param("az", marks=needs_azurite)])
@pytest.mark.usefixtures("servers")
def test_racing_learners_leave_one_history(place: str, tmp_path: Path) -> None:
    store = str(tmp_path / "stores") if place == "local" else f"{place}://{BUCKET}/race"
    out = tmp_path / "race.json"
    arguments = ["--store", store, "--learners", 2, "--seconds", 3, "--json", out]
    result = CliRunner().invoke(main, ["bench", "race", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    (race,) = orjson.loads(out.read_bytes())["races"]
    assert race["holds"]
    assert race["epochs"] >= 2
    assert race["verdict"]["acknowledged"] > 0
