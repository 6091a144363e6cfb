"""No prompts at all: the plain backbone with a head. The floor every method must beat."""

from __future__ import annotations

from dataclasses import dataclass, field

from backbones import Description, TrainableBackbone
from learner.methods.base import Lesson, MethodState, Progress, blank, no_rows
from learner.methods.config import FrozenConfig


@dataclass(frozen=True)
class Frozen:
    """The baseline without training: its state never changes."""

    config: FrozenConfig = field(default_factory=FrozenConfig)
    name: str = "frozen"

    @property
    def digest(self) -> str:
        """Of the config."""
        return self.config.digest()

    def start(self, description: Description) -> MethodState:
        """The empty prefix."""
        return blank(self.name, no_rows(description, "keys_values"))

    def train(
        self, lesson: Lesson, state: MethodState, backbone: TrainableBackbone, report: Progress
    ) -> MethodState:
        """Nothing to learn."""
        return state
