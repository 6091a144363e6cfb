"""What continual learning is compared with: the whole backbone fine-tuned on all rows at once.

Mean pooling, a linear head over all classes, AdamW, cross entropy. It sees every task's rows
together, so it has no order, forgets nothing and cannot take another task without starting again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn

from backbones._torchvision import define_missing_operators
from backbones.passes.options import cpu_has_bf16
from backbones.sources import resolve
from benchmarks.overrides import JOINT
from benchmarks.stream import Row
from benchmarks.streams import Example, Stream
from learner.content import class_id

BACKBONE_RATE, HEAD_RATE = 3e-5, 1e-3
WARM_UP = 0.1
"""Share of the steps in which the learning rate rises; then it falls to 0."""
BATCH = 32
BUCKET = 16 * BATCH
"""Rows sorted by length together before they are cut into batches."""
FEW_ROWS, EPOCHS_OF_FEW, EPOCHS = 1000, 15, 10


@dataclass(frozen=True, eq=False)
class Texts:
    """Tokenised rows. ids, segments: by row, of unequal length."""

    ids: Sequence[Sequence[int]]
    segments: Sequence[Sequence[int]]

    def batch(self, rows: Sequence[int], pad: int) -> dict[str, Tensor]:
        """(B, T) ids, segments and mask of some rows, padded to the longest."""
        shape = (len(rows), max(len(self.ids[i]) for i in rows))
        ids, segments = torch.full(shape, pad), torch.zeros(shape, dtype=torch.long)
        mask = torch.zeros(shape, dtype=torch.long)
        for b, i in enumerate(rows):
            length = len(self.ids[i])
            ids[b, :length] = torch.tensor(self.ids[i])
            segments[b, :length] = torch.tensor(self.segments[i])
            mask[b, :length] = 1
        return {"input_ids": ids, "token_type_ids": segments, "attention_mask": mask}


class FineTuned(nn.Module):
    """A backbone whose weights learn, under a linear head over C classes."""

    def __init__(self, folder: Path, classes: int) -> None:
        super().__init__()
        define_missing_operators()
        from transformers import AutoModel

        self.model: Any = AutoModel.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, dtype=torch.float32
        )
        self.head = nn.Linear(self.model.config.hidden_size, classes)
        self.pad = int(self.model.config.pad_token_id or 0)
        self.segmented = getattr(self.model.config, "type_vocab_size", 0) > 1
        self.in_bf16 = cpu_has_bf16()

    def forward(self, texts: Texts, rows: Sequence[int]) -> Tensor:
        """Logits (B, C), float32."""
        batch = texts.batch(rows, self.pad)
        if not self.segmented:
            del batch["token_type_ids"]
        with torch.autocast("cpu", torch.bfloat16, enabled=self.in_bf16):
            states = self.model(**batch).last_hidden_state
            mask = batch["attention_mask"][..., None].to(states.dtype)
            logits: Tensor = self.head((states * mask).sum(1) / mask.sum(1))
        return logits.float()


def run_joint(
    stream: Stream, backbone: str, max_length: int, report: Callable[[str, float], None]
) -> Row:
    """Fine-tune on all rows of a stream and examine it. report: what is done, share of it."""
    folder = resolve(backbone).folder
    tokens = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokens.no_padding()
    tokens.enable_truncation(max_length)
    labels = sorted({class_id(t.name, one.label) for t in stream.tasks for one in t.train})
    column = {label: c for c, label in enumerate(labels)}
    rows = [(one, column[class_id(t.name, one.label)]) for t in stream.tasks for one in t.train]
    torch.manual_seed(stream.seed)
    model = FineTuned(folder, len(labels))
    texts = _tokenised(tokens, [one for one, _ in rows])
    _train(model, texts, [target for _, target in rows], stream.seed, report)
    unnamed, named = [], []
    for i, task in enumerate(stream.tasks):
        logits = _logits(model, _tokenised(tokens, task.test))
        targets = np.array([column.get(class_id(task.name, one.label), -1) for one in task.test])
        own = np.array([label.startswith(f"{task.name}/") for label in labels])
        unnamed.append(float((logits.argmax(1) == targets).mean()))
        named.append(float((np.where(own, logits, -np.inf).argmax(1) == targets).mean()))
        report("examining", (i + 1) / len(stream.tasks))
    return _row(stream, unnamed, named)


def _train(
    model: FineTuned,
    texts: Texts,
    targets: Sequence[int],
    seed: int,
    report: Callable[[str, float], None],
) -> None:
    epochs = EPOCHS_OF_FEW if len(targets) <= FEW_ROWS else EPOCHS
    steps = epochs * -(-len(targets) // BATCH)
    groups = [
        {"params": model.model.parameters(), "lr": BACKBONE_RATE},
        {"params": model.head.parameters(), "lr": HEAD_RATE},
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate(step, steps))
    rng, answers = np.random.default_rng(seed), torch.tensor(targets)
    model.train()
    step = 0
    for epoch in range(epochs):
        for rows in batches([len(ids) for ids in texts.ids], rng):
            loss = nn.functional.cross_entropy(model(texts, rows), answers[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            step += 1
            report(f"epoch {epoch + 1}/{epochs} loss {loss.item():.3f}", step / steps)
    model.eval()


def rate(step: int, steps: int) -> float:
    """Share of the learning rate at a step: linear up, then linear down."""
    rising = max(1, round(WARM_UP * steps))
    if step < rising:
        return (step + 1) / rising
    return max(0.0, (steps - step) / max(1, steps - rising))


def batches(lengths: Sequence[int], rng: np.random.Generator) -> Iterator[list[int]]:
    """One epoch's rows in batches of similar length, in random order."""
    order = rng.permutation(len(lengths)).tolist()
    cut: list[list[int]] = []
    for start in range(0, len(order), BUCKET):
        bucket = sorted(order[start : start + BUCKET], key=lambda i: lengths[i])
        cut += [bucket[i : i + BATCH] for i in range(0, len(bucket), BATCH)]
    for i in rng.permutation(len(cut)).tolist():
        yield cut[i]


@torch.inference_mode()
def _logits(model: FineTuned, texts: Texts) -> NDArray[np.float32]:
    rows = range(len(texts.ids))
    parts = [model(texts, rows[i : i + BATCH]) for i in range(0, len(rows), BATCH)]
    return np.asarray(torch.cat(parts).numpy(), np.float32)


def _tokenised(tokens: Tokenizer, examples: Sequence[Example]) -> Texts:
    found = tokens.encode_batch(
        [one.text if one.text_pair is None else (one.text, one.text_pair) for one in examples]
    )
    return Texts([one.ids for one in found], [one.type_ids for one in found])


def _row(stream: Stream, unnamed: Sequence[float], named: Sequence[float]) -> Row:
    datasets = np.array([task.dataset for task in stream.tasks])
    of_sets = [np.mean(np.array(unnamed)[datasets == name]) for name in np.unique(datasets)]
    return Row(
        stream=stream.name,
        method=JOINT,
        seed=stream.seed,
        tasks=[task.name for task in stream.tasks],
        final_accuracy=float(np.mean(unnamed)),
        dataset_accuracy=float(np.mean(of_sets)),
        average_incremental_accuracy=None,
        forgetting=None,
        backward_transfer=None,
        task_given_accuracy=float(np.mean(named)),
        task_given_forgetting=None,
        cpu_seconds_per_task=[],
        refresh_cpu_seconds_per_task=[],
        bytes_per_version=[],
        versions=0,
        candidates_refused=0,
        accuracy_matrix=[],
    )
