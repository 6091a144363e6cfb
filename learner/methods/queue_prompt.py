"""Q-tuning's prompt while it trains: [P*; W ∘ Q] as tensors, of which only some have a gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from learner.methods.config import QTuningConfig
from learner.optimise import ParameterGroup
from learner.queue import PromptQueue
from learner.reparameterise import RowNetwork
from learner.reweighing import Reweighing
from learner.rows import Rows
from learner.tensor_rows import TensorRows, concat_tensors


class QueuePrompt:
    """Trained: the task's own rows, shared rows, u and v. Frozen: all other rows, all biases."""

    def __init__(
        self,
        shared: Rows,
        queue: PromptQueue,
        task: str,
        config: QTuningConfig,
        *,
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        """`queue` already holds the rows that `task` starts from."""
        span = queue.span_of(task)
        self._queue, self._task, self._config = queue, task, config
        self._shared = TensorRows.of(shared, device)
        self._before = TensorRows.of(queue.rows.take(slice(span.start)), device)
        self._own = TensorRows.of(queue.rows_of(task), device)
        self._after = TensorRows.of(queue.rows.take(slice(span.stop, None)), device)
        self._shared.values.requires_grad_()
        self._own.values.requires_grad_()
        ones = Reweighing.ones(queue.rows)
        self._over_rows = torch.tensor(ones.over_rows, device=device, requires_grad=True)
        self._over_width = torch.tensor(ones.over_width, device=device, requires_grad=True)
        self._network = self._make_network(seed, device)

    def _make_network(self, seed: int, device: torch.device | str) -> RowNetwork | None:
        if not self._config.reparameterise:
            return None
        own = self._queue.rows_of(self._task)
        return RowNetwork(own, self._config.reparameterise_width, seed).to(device)

    def _trained_rows(self) -> TensorRows:
        """The task's rows, through the network where there is one."""
        if self._network is None:
            return self._own
        return TensorRows(self._network(self._own.values), self._own.bias)

    def shared(self) -> TensorRows:
        """P* alone."""
        return self._shared

    def whole(self) -> TensorRows:
        """[P*; W ∘ Q], differentiable."""
        queue = concat_tensors([self._before, self._trained_rows(), self._after])
        if self._config.reweighing:
            weights = self._over_rows[:, None] * self._over_width
            queue = TensorRows(queue.values * weights, queue.bias)
        return concat_tensors([self._shared, queue])

    def groups(self) -> list[ParameterGroup]:
        """What is trained, by learning rate."""
        config = self._config
        shared = [self._shared.values] if config.shared_rows else []
        weights: list[Tensor] = [self._over_rows, self._over_width] if config.reweighing else []
        network = [] if self._network is None else list(self._network.parameters())
        return [
            ParameterGroup([self._own.values], config.rate),
            ParameterGroup(shared, config.shared_rate),
            ParameterGroup(weights, config.reweighing_rate),
            ParameterGroup(network, config.reparameterise_rate),
        ]

    def result(self) -> tuple[Rows, PromptQueue, Reweighing | None]:
        """P*, Q and W as numpy; the network is folded into the rows."""
        queue = self._queue.replace(self._task, self._trained_rows().rows())
        if not self._config.reweighing:
            return self._shared.rows(), queue, None
        weights = Reweighing(
            self._over_rows.detach().cpu().numpy().copy(),
            self._over_width.detach().cpu().numpy().copy(),
        )
        return self._shared.rows(), queue, weights
