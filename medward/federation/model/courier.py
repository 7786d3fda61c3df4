"""Courier in the federation: what it sees of a shared model, and its decision as a sum's `Dispatch`.

A block of weights has BLOCK_VALUES of them; a ciphertext holds one lane of N values or several. Which blocks are sent
follows from how many ciphertexts Courier buys and at what width: the stalest ones, as many as fit. So the choice
never looks at an update, and no paid lane stays empty while a block waits.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from medward.agents.courier.observation import NOTHING, ONE, Decision, Observation, fixed_log2
from medward.agents.courier.policies import CourierPolicy, read_policy
from medward.federation.errors import FederationError
from medward.federation.model.wire import sum_bytes, sum_set
from medward.federation.records import Dispatch
from medward.fhe.packing import BlockLayout

BLOCK_VALUES = 2048
#: The counts of a training sum that Courier takes part in: what the members' validation rows cost.
COUNTS = 1
#: Costs are summed in these parts of the unit.
COST_UNIT = 256


@dataclass(frozen=True)
class Courier:
    """What the members agreed on for Courier; part of the plan.

    Args:
        policy: decides.
        members: the number of members that bytes are counted for.
        budget: the bytes that all training sums together may take; 0 for no limit.
    """

    policy: CourierPolicy
    members: int
    budget: int = 0

    def text(self) -> str:
        """Return all of it as one text."""
        return json.dumps([self.policy.text(), self.members, self.budget])

    def decide(self, signals: "Signals", done: int, periods: int, sent: Sequence[int], weights: int) -> Dispatch | None:
        """Return how the next training sum is sent, or None if there is to be none.

        Args:
            signals: what the sums so far have told.
            done: how many periods of training are done.
            periods: how many the plan has.
            sent: for each block the period up to which the shared weights have its training.
            weights: how many weights there are.
        """
        if done >= periods:
            return None
        chosen = self.policy.decide(self.observe(signals, done, periods))
        if chosen.periods < 1:
            return None
        blocks = self._blocks(chosen, sent, weights)
        dispatch = Dispatch(chosen.bits, blocks, min(chosen.periods, periods - done))
        if self.budget and signals.spent + self.cost(dispatch, weights) > self.budget:
            return None
        return dispatch

    def observe(self, signals: "Signals", done: int, periods: int) -> Observation:
        """Return what the policy sees."""
        left = max(0, ONE - ONE * signals.spent // self.budget) if self.budget else ONE
        progress = ONE * done // periods
        return Observation(progress, signals.covered, signals.energy, signals.cost, signals.drop, left)

    def cost(self, dispatch: Dispatch, weights: int) -> int:
        """Return the bytes of a training sum that is sent so."""
        values = sum(stop - start for start, stop in spans(dispatch.blocks, weights))
        return sum_bytes(dispatch.bits, self.members, COUNTS, values)

    def _blocks(self, chosen: Decision, sent: Sequence[int], weights: int) -> tuple[int, ...]:
        if not chosen.ciphertexts:
            return tuple(range(len(sent)))
        parameters = sum_set(chosen.bits, self.members)
        room = chosen.ciphertexts * parameters.values_per_block
        room -= COUNTS * BlockLayout(parameters, COUNTS, 0).digits
        picked: list[int] = []
        for block in sorted(range(len(sent)), key=lambda block: (sent[block], block)):
            ((start, stop),) = spans((block,), weights)
            if stop - start <= room:
                picked.append(block)
                room -= stop - start
        return tuple(sorted(picked))


def courier_of(policy: str, members: int, budget: int = 0) -> Courier | None:
    """Return the Courier that options name, None where they name none.

    Args:
        policy: as `read_policy` takes it, or empty.
        members, budget: as `Courier` has them.

    Raises:
        FederationError: the policy is none, or there is a budget and nobody to keep it.
    """
    if not policy:
        if budget:
            raise FederationError("A byte budget needs a Courier that keeps it: name its policy, such as every:1.")
        return None
    if budget < 0:
        raise FederationError(f"A byte budget is 0 (none) or more, not {budget}.")
    try:
        return Courier(read_policy(policy), members, budget)
    except ValueError as error:
        raise FederationError(f"Courier's policy cannot be read: {error}.") from None


@dataclass(frozen=True)
class Signals:
    """What the training sums so far have told Courier; part of the shared model.

    Args:
        spent: the bytes that they took.
        covered, energy, cost, drop: as `Observation` has them.
    """

    spent: int = 0
    covered: int = 0
    energy: int = NOTHING
    cost: int = ONE
    drop: int = 0

    def after(self, spent: int, covered: int, energy: int, windows: int, costs: int) -> "Signals":
        """Return the signals after one more sum.

        Args:
            spent: the bytes that it took.
            covered: the periods that it covered.
            energy: as `Observation` has it.
            windows: the members' validation rows; without any, the cost stays as it was.
            costs: what they cost, in COST_UNITs.
        """
        cost = ONE * costs // (COST_UNIT * windows) if windows else self.cost
        drop = (self.cost - cost) // max(self.covered, 1) if self.covered and windows else 0
        return Signals(self.spent + spent, covered, energy, cost, drop)

    def fields(self) -> dict[str, int]:
        """Return the signals by name."""
        return asdict(self)


def update_energy(mean: NDArray[np.float32], unit: float) -> int:
    """Return log2 of the root mean square of an update in units of `unit`, in OCTAVEs, rounded down.

    The sum of squares is exact: squares of integers below 2^24, so that its order does not matter.
    """
    if not mean.size:
        return NOTHING
    largest = float(np.abs(mean).max())
    if largest == 0:
        return NOTHING
    whole = np.rint(mean.astype(np.float64) * ((1 << 20) / largest)).astype(np.int64)
    square = int((whole * whole).sum()) / (mean.size << 40)
    return fixed_log2(square) // 2 + fixed_log2(largest / unit)


NO_SIGNALS = Signals()


def blocks_of(weights: int) -> int:
    """Return how many blocks so many weights make."""
    return -(-weights // BLOCK_VALUES)


def spans(blocks: Sequence[int], weights: int) -> list[tuple[int, int]]:
    """Return where each of these blocks begins and ends."""
    return [(block * BLOCK_VALUES, min(weights, (block + 1) * BLOCK_VALUES)) for block in blocks]
