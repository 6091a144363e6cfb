"""The gate's measurement in short: real trials on a tiny backbone, resumed, and counted."""

from __future__ import annotations

import gzip
from pathlib import Path

import orjson
import pytest

from backbones import load
from benchmarks.gate import SHOTS, Share, TrialRow, Trials, markdown, run, summary
from learner.config import LearnerConfig
from learner.heads import HeadConfig
from learner.methods.config import AutoConfig
from tests.backbones.models import SUPPORTED, WORDS, save


def row(gain: float, *, accepted: bool, seed: int = 0) -> TrialRow:
    return TrialRow("t", seed, "right", accepted, "", 0.5, 100, 0.5, 0.5 + gain, 500)


def test_candidates_are_counted_by_what_they_are_worth() -> None:
    rows = [row(0.03, accepted=True)] * 9 + [row(0.03, accepted=False)]
    rows += [row(-0.03, accepted=False)] * 4 + [row(0.0, accepted=False)]
    shares = {share.candidates: share for share in summary(rows)}
    assert {name: (of.trials, of.accepted) for name, of in shares.items()} == {
        "helpful": (10, 9),
        "by 2 to 4 points": (10, 9),
        "neutral": (1, 0),
        "harmful": (4, 0),
        "right labels": (15, 9),
    }
    assert "| helpful | 10 | 9 | 1 | 90 % (60 to 98) | +3.0 (+3.0 to +3.0) |" in markdown(rows)


def test_the_interval_is_wilsons() -> None:
    share = Share.of("", [row(0.1, accepted=i < 9) for i in range(10)])
    assert [share.low, share.high] == pytest.approx([0.5958, 0.9821], abs=1e-4)


def test_trials_are_run_kept_and_not_run_again(tmp_path: Path) -> None:
    texts = {
        part: [
            {"sentence": f"{WORDS[(i + start) % 7]} {WORDS[7 + place]}", "label": label}
            for i in range(SHOTS["SST-2"])
            for place, label in enumerate("ab")
        ]
        for part, start in (("train", 0), ("test", 3))
    }
    path = tmp_path / "olora_cl_benchmark" / "SST-2.json.gz"
    path.parent.mkdir()
    path.write_bytes(gzip.compress(orjson.dumps(texts | {"labels": ["a", "b"]})))
    backbone = load(str(save(SUPPORTED["bert"], tmp_path / "tiny")), device="cpu", threads=1)
    config = LearnerConfig(
        domains="one",
        head=HeadConfig(kind="ridge", projection=64),
        auto=AutoConfig(rows=2, epochs=1, minimum_steps=1, maximum_steps=2),
    )
    trials, json_path = Trials(backbone, config, tmp_path / "prompts"), tmp_path / "rows.json"
    rows = run(["SST-2"], [0], tmp_path, trials, json_path=json_path)
    assert [one.labels for one in rows] == ["right", "shuffled"]
    assert {one.before for one in rows} == {rows[0].before}
    said: list[str] = []
    assert run(["SST-2"], [0], tmp_path, trials, json_path=json_path, say=said.append) == rows
    assert said == []
    assert run(["SST-2"], [0], tmp_path, trials) == rows
