"""`perennial bench demo` from the command to the picture."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image
from rich.console import Console

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

from benchmarks.demo import needs
from benchmarks.demo.course import Answer, Exam, Lesson
from benchmarks.demo.digits import LABELS, Digit, deal, write
from benchmarks.demo.options import Options
from benchmarks.demo.picture import draw, mistakes, sample
from benchmarks.demo.report import HEADINGS, line, table
from benchmarks.demo.sight import AT_HAND, AT_HAND_SIZE, chosen
from benchmarks.demo.small_vit import make
from perennial.cli import main

PNG = b"\x89PNG\r\n\x1a\n"


def demo(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["bench", "demo", *map(str, arguments)])


def answer(truth: str, said: str, score: float = 0.9) -> Answer:
    return Answer(Digit(0, truth, Path("test", truth, "0.png")), said, score)


def test_an_exam_counts_right_answers_and_mistakes_come_surest_first() -> None:
    answers = [answer("1", "1"), answer("3", "8", 0.4), answer("9", "4", 0.7), answer("2", "2")]
    assert Exam(answers, 1.0).accuracy == 0.5
    assert [one.label for one in mistakes(answers)] == ["4", "8"]
    assert [one.digit.label for one in sample(answers)] == ["1", "2", "3", "9"]


def test_a_lesson_is_a_line_and_a_row() -> None:
    first, then = Exam([answer("1", "7"), answer("7", "7")], 0.6), Exam([answer("1", "1")], 2.5)
    lesson = Lesson("1-7", 2, first, then, "accepted")
    assert line(lesson) == (
        "task 1-7: 2 of 10 digits known, 50.0 % right after 0.6 s, 100.0 % after 2.5 s "
        "(new prompt accepted)"
    )
    drawn = table([lesson])
    assert [column.header for column in drawn.columns] == list(HEADINGS)
    cells = [next(iter(column.cells)) for column in drawn.columns]
    assert cells == ["1-7", "2", "0.6 s", "50.0 %", "2.5 s", "100.0 %", "accepted"]


@pytest.mark.parametrize("said", ["right", "wrong"])
def test_the_picture_is_drawn_with_and_without_mistakes(tmp_path: Path, said: str) -> None:
    dealt = deal(0, 1, 2)
    write(dealt, tmp_path)
    answers = [Answer(d, d.label if said == "right" else "0", 0.9) for d in dealt.test]
    exam = Exam(answers, 1.0)
    lessons = [Lesson(task, 2, exam, exam, "refused") for task in dealt.tasks]
    draw(lessons, tmp_path, tmp_path / "demo.png", "a title")
    with Image.open(tmp_path / "demo.png") as image:
        assert image.width > image.height > 300


def test_a_missing_package_is_named_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(needs, "NEEDED", {"no_such_module": "no-such-package", "json": "json"})
    result = demo("--out", tmp_path / "new")
    assert result.exit_code == 1
    assert "needs no-such-package: run `pip install 'perennial[demo]'`" in result.output
    assert not (tmp_path / "new").exists()


def test_images_of_another_seed_are_refused(tmp_path: Path) -> None:
    write(deal(1, 2, 1), tmp_path)
    result = demo("--out", tmp_path, "--seed", 0)
    assert result.exit_code == 1
    assert "name another --out" in result.output


def test_the_backbone_is_the_one_at_hand_or_else_the_toy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a toy that is there nothing is made again."""
    monkeypatch.chdir(tmp_path)  # beside it lies no ../shared
    console = Console(stderr=True)
    make(tmp_path / "small-vit", 0, 1, lambda: None)
    made = (tmp_path / "small-vit" / "model.safetensors").stat().st_mtime_ns
    toy = chosen(Options(tmp_path, steps=1), console)
    assert toy.flags() == ["--backbone", str(tmp_path / "small-vit")]
    assert (tmp_path / "small-vit" / "model.safetensors").stat().st_mtime_ns == made
    named = chosen(Options(tmp_path, backbone="vit_x", image_size=64), console)
    assert named.flags() == ["--backbone", "vit_x", "--image-size", "64"]
    (tmp_path / "clone").mkdir()
    monkeypatch.chdir(tmp_path / "clone")
    AT_HAND.mkdir(parents=True)
    at_hand = chosen(Options(tmp_path, steps=1), console)
    assert at_hand.flags() == ["--backbone", str(AT_HAND), "--image-size", str(AT_HAND_SIZE)]
    assert chosen(Options(tmp_path, backbone="small", steps=1), console) == toy


@pytest.mark.slow
def test_the_demo_teaches_all_digits_to_a_real_server(tmp_path: Path) -> None:
    out = tmp_path / "out"
    few = ("--steps", 120, "--shots", 8, "--tests", 4)
    result = demo("--out", out, "--backbone", "small", *few)
    assert result.exit_code == 0, result.output
    assert len(list(out.glob("digits/*/*/*.png"))) == 10 * 8
    assert {path.parent.name for path in out.glob("test/*/*.png")} == set(LABELS)
    assert (out / "demo.png").read_bytes().startswith(PNG)
    known = [int(n) for n in re.findall(r"^task .* (\d+) of 10 digits known", result.stderr, re.M)]
    assert known == [2, 4, 6, 8, 10]
    gates = re.findall(r"new prompt (accepted|refused|not asked)", result.stderr)
    assert len(gates) == 5
    found = re.search(r"^([\d.]+) % of 40 test images right, of all 10", result.stdout, re.M)
    assert found is not None
    assert float(found[1]) > 30  # chance is 10; on such a toy about 60
    assert f"perennial serve --backbone {out}/small-vit" in result.stdout
