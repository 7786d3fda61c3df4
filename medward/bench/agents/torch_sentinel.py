"""Rivals of Sentinel's learner in speed: the same rule in eager PyTorch, and stable-baselines3's DQN."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medward.agents.sentinel.recipe import Recipe


class TorchSentinel:
    """Sentinel's network, targets and update, step by step in eager PyTorch.

    Args:
        encoded: the encoded rows.
        labels: their classes.
        following: for each row the next one of its stream, -1 at the end.
        cost: the cost matrix.
        shape: low and inverse of the bins, which numbers and indicators are cheap, embedding width, hidden widths.
        settings: batch, discount, value_weight, average, escalation, learning_rate, weight_decay, and muon: whether
            PyTorch's own trains the matrices of the hidden layers (medward.agents.sentinel.muon).
    """

    def __init__(
        self,
        encoded: NDArray[np.float32],
        labels: NDArray[np.int32],
        following: NDArray[np.int32],
        cost: NDArray[np.float32],
        shape: dict[str, Any],
        settings: dict[str, Any],
    ) -> None:
        self.encoded = torch.from_numpy(np.array(encoded))
        self.labels = torch.from_numpy(np.array(labels)).long()
        self.following = torch.from_numpy(np.array(following)).long()
        self.cost, self.settings = torch.from_numpy(np.array(cost)), settings
        self.low, self.inverse = (torch.from_numpy(np.array(shape[name])) for name in ("low", "inverse"))
        self.number_cheap = torch.from_numpy(np.array(shape["number_cheap"], np.float32))
        self.indicator_cheap = torch.from_numpy(np.array(shape["indicator_cheap"], np.float32))
        self.numbers, self.indicators = len(self.number_cheap), len(self.indicator_cheap)
        self.online, self.target = self._new(shape), self._new(shape)
        self.target.load_state_dict(self.online.state_dict())
        self.optimisers = self._optimisers()

    def _optimisers(self) -> list[torch.optim.Optimizer]:
        steps = {"lr": self.settings["learning_rate"], "weight_decay": self.settings["weight_decay"]}
        matrices = [p for p in self.online["hidden"].parameters() if self.settings["muon"] and p.ndim == 2]
        others = [p for p in self.online.parameters() if not any(p is matrix for matrix in matrices)]
        muon = [torch.optim.Muon(matrices, adjust_lr_fn="match_rms_adamw", **steps)] if matrices else []
        return [torch.optim.AdamW(others, **steps), *muon]

    def _new(self, shape: dict[str, Any]) -> torch.nn.ModuleDict:
        inputs = self.numbers * max(shape["embedding"], 1) + self.indicators + 2
        widths = [inputs, *shape["hidden"]]
        layers: list[torch.nn.Module] = []
        for a, b in pairwise(widths):
            layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
        actions = len(self.cost) + 1
        embedding = torch.nn.ParameterDict(
            {
                "slope": torch.randn(self.numbers, self.low.shape[1], shape["embedding"]) * 0.3,
                "bias": torch.zeros(self.numbers, shape["embedding"]),
            }
        )
        heads = {"value": torch.nn.Linear(widths[-1], 1), "advantage": torch.nn.Linear(widths[-1], actions)}
        return torch.nn.ModuleDict({"embedding": embedding, "hidden": torch.nn.Sequential(*layers), **heads})

    def _streams(self, net: torch.nn.ModuleDict, row: torch.Tensor, bought: torch.Tensor) -> Any:
        z, shown = self.encoded[row], bought[:, None]
        number, present, indicator = z.split([self.numbers, self.numbers, self.indicators], dim=1)
        present = present * (self.number_cheap + (1 - self.number_cheap) * shown)
        embedding = net["embedding"]
        if embedding["bias"].shape[1]:
            filled = ((number[:, :, None] - self.low) * self.inverse).clamp(0, 1)
            embedded = torch.einsum("nfb,fbw->nfw", filled, embedding["slope"]) + embedding["bias"]
        else:
            embedded = number[:, :, None]
        indicator = indicator * (self.indicator_cheap + (1 - self.indicator_cheap) * shown)
        flat = (embedded * present[:, :, None]).flatten(1)
        h = net["hidden"](torch.cat([flat, indicator, shown, torch.zeros_like(shown)], dim=1))
        return net["value"](h)[:, 0], net["advantage"](h)

    def _rated(self, row: torch.Tensor, bought: torch.Tensor, options: int) -> Any:
        choice = self._streams(self.online, row, bought)[1][:, :options].argmax(1)
        value, advantage = self._streams(self.target, row, bought)
        return value, self.cost.max() * (torch.sigmoid(advantage.gather(1, choice[:, None])[:, 0]) - 1)

    def update(self) -> float:
        """Make one update and return its loss."""
        s, batch = self.settings, self.settings["batch"]
        row = torch.randint(len(self.labels), (batch,))
        bought = torch.bernoulli(torch.full((batch,), 0.5))
        highest, classes = self.cost.max(), len(self.cost)
        with torch.no_grad():
            _, informed = self._rated(row, torch.ones(batch), classes)
            following = self.following[row]
            value, best = self._rated(following.clamp(min=0), torch.zeros(batch), classes + 1)
            follows = torch.where(following < 0, 0.0, s["discount"] * (value + best))
            advantage = torch.cat([-self.cost[self.labels[row]], (informed - s["escalation"])[:, None]], dim=1)
            wanted = (1 + advantage / highest).clamp(0, 1)
            known = torch.ones_like(wanted)
            known[:, -1] = 1 - bought
        value, advantage = self._streams(self.online, row, bought)
        entropy = torch.nn.functional.binary_cross_entropy_with_logits(advantage, wanted, reduction="none")
        spread = torch.nn.functional.huber_loss(value, follows, reduction="none")
        loss = ((entropy * known).sum(1) + s["value_weight"] * spread).mean()
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.online.parameters(), 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
        with torch.no_grad():
            for kept, new in zip(self.target.parameters(), self.online.parameters(), strict=True):
                kept.lerp_(new, 1 - s["average"])
        return float(loss.detach())


def stable_baselines_learner(
    encoded: NDArray[np.float32], actions: int, recipe: Recipe, updates: int
) -> tuple[str, Callable[[], None]]:
    """Return stable-baselines3's name and DQN updates on a full replay buffer of the same rows.

    Its DQN is neither double nor dueling and learns one action a sample: less work an update than ours.
    """
    import gymnasium
    import stable_baselines3
    from stable_baselines3.common.logger import configure

    width = encoded.shape[1]

    class Rows(gymnasium.Env):  # type: ignore[misc]
        """An environment that only has the right shapes: the buffer is filled by hand."""

        observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (width,), np.float32)
        action_space = gymnasium.spaces.Discrete(actions)

        def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[NDArray[np.float32], dict[str, Any]]:
            return encoded[0], {}

        def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
            return encoded[0], 0.0, False, False, {}

    model = stable_baselines3.DQN(
        "MlpPolicy",
        Rows(),
        batch_size=recipe.learning.batch,
        buffer_size=len(encoded),
        policy_kwargs={"net_arch": list(recipe.network.hidden)},
        device="cpu",
    )
    model.set_logger(configure(None, []))
    rng = np.random.default_rng(0)
    for i in range(len(encoded) - 1):
        action = np.array([rng.integers(actions)])
        model.replay_buffer.add(encoded[i], encoded[i + 1], action, np.array([-1.0]), np.array([False]), [{}])
    name = f"stable-baselines3 {stable_baselines3.__version__} DQN"
    return name, lambda: model.train(gradient_steps=updates, batch_size=recipe.learning.batch)
