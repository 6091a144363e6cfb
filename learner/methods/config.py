"""What can be chosen about a method; checked when it is built, frozen afterwards."""

from __future__ import annotations

import hashlib
import json
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from backbones.description import Modality
from learner.rows import Form

LossName = Literal["auto", "crossfit", "cosine"]
EvictionName = Literal[
    "pca",
    "merge",
    "merge_fit",
    "pca_raw",
    "pca_mean",
    "pca_rescaled",
    "fifo",
    "random",
    "merge_oldest",
    "none",
]
Combination = Literal["sum", "mean", "matched"]

LEARNING_RATE: dict[Form, float] = {"keys_values": 0.1, "tokens": 1e-2}
"""Best of a sweep on SST-2 (METHODS §7); both optima are flat over a factor of three."""
INITIAL_SCALE: dict[Form, float] = {"keys_values": 0.1, "tokens": 0.02}
"""Standard deviation of fresh rows; 0.02 is that of BERT's own token embeddings."""
FEW_EXAMPLES = 200
EPOCHS_FEW, EPOCHS_MANY = 12, 8
"""Epochs under `FEW_EXAMPLES` examples, and from there on (METHODS §7)."""
OF_IMAGES: dict[str, float] = {
    "learning_rate": 0.05,
    "epochs": 6,
    "batch_size": 25,
    "warmup": 0.1,
    "minimum_steps": 24,
    "views": 3,
}
"""What differs for images: prompts overfit sooner than on text (docs/images.md)."""


class FrozenConfig(BaseModel):
    """The plain backbone has nothing to choose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def digest(self) -> str:
        """Sha256 hex of the class and every value, defaults included."""
        content = {"config": type(self).__name__, **self.model_dump(mode="json")}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class PromptConfig(FrozenConfig):
    """How one prompt is trained; the recipe of METHODS §7."""

    rows: int = Field(default=10, ge=1, le=128, description="prompt rows P of one task")
    form: Form = "keys_values"
    initial_scale: float | None = Field(default=None, gt=0, description="None: by form")
    loss: LossName = "auto"
    crossfit_classes: int = Field(default=20, ge=1, description="auto: the cosine head above")
    crossfit_bank: int = Field(
        default=1000, ge=32, description="above, 512 random rows are fitted on"
    )
    ridge: float = Field(default=1.0, gt=0)
    ridge_scale: float = Field(default=5.0, gt=0, description="factor on the ridge's predictions")
    cosine_scale: float = Field(default=16.0, gt=0, description="factor on the head's cosines")
    learning_rate: float | None = Field(
        default=None, gt=0, description="of prompt rows; None: by form"
    )
    head_learning_rate: float = Field(default=1e-2, gt=0, description="of the cosine head")
    warmup: float = Field(default=0.06, ge=0, lt=1, description="share of all steps")
    clip: float = Field(default=1.0, gt=0, description="largest gradient norm")
    batch_size: int = Field(default=16, ge=2)
    epochs: int | None = Field(
        default=None, ge=1, description="None: 12 under 200 examples, else 8"
    )
    minimum_steps: int = Field(default=96, ge=1)
    maximum_steps: int = Field(default=2000, ge=1)
    views: int = Field(
        default=0,
        ge=0,
        le=32,
        description="changed views of each input that are trained on beside it, where the "
        "modality has such; images: 3",
    )

    @model_validator(mode="after")
    def _steps_are_ordered(self) -> Self:
        if self.minimum_steps > self.maximum_steps:
            raise ValueError(
                f"minimum_steps {self.minimum_steps} is above maximum_steps {self.maximum_steps}"
            )
        return self

    def suited(self, modality: Modality) -> Self:
        """The recipe of this modality, where nobody said otherwise."""
        if modality == "text":
            return self
        others = {name: OF_IMAGES[name] for name in OF_IMAGES.keys() - self.model_fields_set}
        return self.model_copy(update=others)

    @property
    def rate(self) -> float:
        """Learning rate of raw prompt rows."""
        return LEARNING_RATE[self.form] if self.learning_rate is None else self.learning_rate

    @property
    def scale(self) -> float:
        """Standard deviation of fresh prompt rows."""
        return INITIAL_SCALE[self.form] if self.initial_scale is None else self.initial_scale

    def crossfits(self, classes: int) -> bool:
        """Whether a task of so many classes trains on the cross-fitted ridge."""
        return self.loss == "crossfit" or (self.loss == "auto" and classes <= self.crossfit_classes)

    def batch_of(self, examples: int) -> int:
        """Rows a step: at most half of all, so that cross-fitting has others to fit on."""
        return max(1, min(self.batch_size, examples // 2))

    def steps(self, examples: int) -> int:
        """Training steps for a task of so many examples."""
        epochs = self.epochs or (EPOCHS_FEW if examples < FEW_EXAMPLES else EPOCHS_MANY)
        planned = epochs * -(-examples // self.batch_of(examples))
        return min(max(planned, self.minimum_steps), self.maximum_steps)


class SequentialConfig(PromptConfig):
    """One prompt, trained on from task to task."""


class AutoConfig(PromptConfig):
    """The prompt of a domain (METHODS §5). Steps are those of each half of the rows."""

    form: Literal["keys_values"] = "keys_values"
    epochs: int | None = Field(default=8, ge=1, description="None: as other methods")
    minimum_steps: int = Field(default=32, ge=1)
    average: float = Field(
        default=0.7, ge=0, lt=1, description="what adapting keeps of a domain's prompt"
    )


class AdditiveConfig(PromptConfig):
    """One prompt that follows each task's by a running average, after APT."""

    average: float = Field(default=0.7, ge=0, lt=1, description="what a task leaves of the prompt")


class JointConfig(PromptConfig):
    """One prompt trained on all tasks' examples together: the upper bound."""

    rows: int = Field(default=20, ge=1, le=128, description="prompt rows P")


class LayerGroupedConfig(PromptConfig):
    """Layer-grouped prompts, after HLGP (METHODS §3).

    `learning_rate` is that of the root. How many groups fit depends on the backbone: `groups_of`.
    """

    form: Literal["keys_values"] = "keys_values"
    groups: int | None = Field(
        default=2, ge=1, description="contiguous groups G of the prompted layers; None: one a layer"
    )
    generator: bool = Field(
        default=True, description="make the groups' sub-prompts from one root; off: all are free"
    )
    generator_width: int = Field(default=64, ge=1, description="hidden width of a generator")
    generator_rate: float = Field(default=3e-3, gt=0, description="learning rate of generators")
    position: float = Field(default=0.1, ge=0, description="β of the position term; 0: off")
    combination: Combination = "mean"
    temperature: float = Field(
        default=0.05, gt=0, description="of the softmax over tasks (matched)"
    )
    warm_start: bool = Field(
        default=True, description="root and generator start from the previous task's"
    )

    def groups_of(self, layers: int) -> int:
        """G for so many prompted layers. Raises ValueError where it is more than there are."""
        groups = layers if self.groups is None else self.groups
        if groups > layers:
            raise ValueError(
                f"groups={groups}, but the backbone prompts {layers} layers: set groups from 1 to "
                f"{layers}, or load the backbone with more prompted_layers"
            )
        return groups


class IndependentConfig(LayerGroupedConfig):
    """Every layer its own free prompt, no position term: what layer groups are compared with."""

    groups: None = None
    generator: Literal[False] = False
    position: float = Field(default=0.0, ge=0, le=0)


class QTuningConfig(PromptConfig):
    """Q-tuning: queue, reweighing, shared prefix, memory retention, eviction (METHODS §2)."""

    capacity: int = Field(default=5, ge=2, le=64, description="tasks C whose rows the queue holds")
    shared_rows: int = Field(default=10, ge=0, le=128, description="0: no shared prefix")
    shared_rate: float = Field(default=1e-2, gt=0, description="learning rate of shared rows")
    reweighing: bool = True
    reweighing_rate: float = Field(default=1e-2, gt=0, description="learning rate of u and v")
    reparameterise: bool = Field(default=False, description="train rows through a residual MLP")
    reparameterise_width: int = Field(default=128, ge=1)
    reparameterise_rate: float = Field(default=3e-3, gt=0, description="learning rate of the MLP")
    retention: float = Field(default=0.0, ge=0, description="weight η of memory retention; 0: off")
    critic_width: int = Field(default=64, ge=1)
    critic_rate: float = Field(default=1e-3, gt=0)
    eviction: EvictionName = "pca"
    eviction_queries: int = Field(
        default=600, ge=32, description="queries a head to fit on, at most"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.retention > 0 and self.shared_rows == 0:
            raise ValueError(
                f"retention={self.retention} trains the shared prefix, but shared_rows=0 leaves "
                "none: set shared_rows or retention=0"
            )
        if self.form == "tokens" and self.eviction in ("pca", "merge_fit"):
            raise ValueError(
                f"eviction={self.eviction!r} compresses attention over keys and values; "
                "form='tokens' has none: choose eviction='merge'"
            )
        return self

    @property
    def capacity_rows(self) -> int:
        """C · P."""
        return self.capacity * self.rows


class ProgressiveConfig(QTuningConfig):
    """Every task's prompt beside the frozen ones of all tasks before; the capacity is the end."""

    capacity: int = Field(default=16, ge=2, le=64, description="tasks that can be learnt at all")
    shared_rows: Literal[0] = 0
    reweighing: Literal[False] = False
    retention: float = Field(default=0.0, ge=0, le=0)
    eviction: Literal["none"] = "none"
