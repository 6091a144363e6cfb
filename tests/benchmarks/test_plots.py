from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from benchmarks.stream_plot import accuracy_over_tasks, draw_all
from benchmarks.tables import HEADINGS, summarise
from perennial.cli import main
from tests.benchmarks.rows import at_once, row

pytest.importorskip("matplotlib")


def test_accuracy_over_tasks_looks_only_at_tasks_seen_so_far() -> None:
    assert accuracy_over_tasks(row("auto")) == pytest.approx([0.9, 0.75, 0.8])


def test_a_stream_has_three_pictures_and_one_learnt_at_once_only_bars(tmp_path: Path) -> None:
    rows = [row("frozen"), row("auto"), row("auto", seed=1), at_once(), at_once("alone")]
    written = draw_all(rows, tmp_path / "new", prefix="intents-")
    names = {"words-final", "words-accuracy", "words-matrix", "alone-final"}
    assert {path.name for path in written} == {f"intents-{name}.png" for name in names}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)


def test_stored_rows_are_drawn_without_a_run(tmp_path: Path) -> None:
    stored = tmp_path / "rows.json"
    stored.write_bytes(orjson.dumps({"rows": [row("auto").as_json(), at_once().as_json()]}))
    result = CliRunner().invoke(main, ["bench", "plot", str(stored), str(tmp_path / "images")])
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "images").glob("words-*.png"))) == 3


def test_what_a_method_has_no_measure_of_is_a_dash() -> None:
    line = summarise([at_once()])[0]
    given = ("stream", "method", "seeds", "final", "by data set", "task given")
    shown = dict(zip(HEADINGS, line, strict=True))
    assert (shown["seeds"], shown["final"]) == ("1", "85.00 ± 0.00")
    assert {shown[name] for name in HEADINGS if name not in given} == {"–"}
