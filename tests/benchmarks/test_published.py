from dataclasses import replace
from pathlib import Path

import click
import orjson
import pytest
from click.testing import CliRunner

from benchmarks.overrides import JOINT, VARIANTS, learner_config
from benchmarks.published import SECTIONS, between
from perennial.cli import main
from tests.benchmarks.rows import row


def test_every_section_has_its_place_and_names_what_can_run() -> None:
    page = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text()
    for section in SECTIONS:
        assert f"<!-- begin {section.name} -->" in between(page, section.name, "x")
        for part in section.parts:
            assert set(part.methods) <= set(VARIANTS)
            for method in set(part.methods) - {JOINT}:
                learner_config(method, 0, part.overrides)


def test_variants_have_the_options_that_they_are_named_for() -> None:
    plain, layers = learner_config("frozen", 0, ()), learner_config("frozen-layers", 0, ())
    assert (plain.method, plain.head.views, plain.head.pairs) == ("frozen", "last", "joined")
    assert (layers.method, layers.head.views) == ("frozen", "auto")
    assert learner_config("auto-joined", 0, ()).head.pairs == "joined"
    assert learner_config("auto-closed", 0, ()).gate.mode == "closed"
    lda = learner_config("frozen", 0, ("head.kind=lda",)).head
    assert (lda.kind, lda.views) == ("lda", "last")
    assert learner_config("frozen", 0, ()).head.kind == "auto"


def test_only_what_markers_enclose_is_rewritten() -> None:
    text = "a\n<!-- begin x -->\nold\n<!-- end x -->\nb"
    assert between(text, "x", "new") == "a\n<!-- begin x -->\n\nnew\n\n<!-- end x -->\nb"
    assert between(between(text, "x", "1"), "x", "new") == between(text, "x", "new")
    with pytest.raises(click.ClickException, match="begin y"):
        between(text, "y", "new")


def test_stored_rows_are_published_without_a_run(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    part = SECTIONS[2].parts[0]
    good = replace(row("auto", stream="mixed"), settings=part.run(Path()).settings())
    other = replace(row("frozen", stream="mixed"), settings={"backbone": "other"})
    rows = {"rows": [good.as_json(), other.as_json()]}
    (tmp_path / "mixed.json").write_bytes(orjson.dumps(rows))
    page = tmp_path / "benchmarks.md"
    page.write_text("<!-- begin mixed --><!-- end mixed -->")
    arguments = ["bench", "publish", "--no-run", "--rows", str(tmp_path), "--docs", str(tmp_path)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "| mixed | auto | 1 | 80.00 ± 0.00 |" in page.read_text()
    assert "frozen" not in page.read_text()
    assert (tmp_path / "images" / "mixed-mixed-accuracy.png").exists()
    assert "intents: no rows" in result.output


def test_an_unknown_section_is_refused() -> None:
    result = CliRunner().invoke(main, ["bench", "publish", "--no-run", "--only", "cl99"])
    assert result.exit_code == 2
    assert "intents, nlp7, mixed, images, two-domains, ablations" in result.output
