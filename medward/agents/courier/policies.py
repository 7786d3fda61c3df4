"""Courier's policies: schedules to beat, and what was learned. All are public and decide in integers alone."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from medward.agents.courier.observation import FEATURES, NOTHING, ONE, Decision, Observation, fixed_log2

#: Widths of a value that sums are offered with.
WIDTHS = (4, 8, 12, 16)
#: The newest policy that was learned (benchmarks/federation/courier.py); a number never gets another policy.
NEWEST = "learned-1"
#: Fractional bits of the learned policy's weights.
WEIGHT_BITS = 12


class CourierPolicy(Protocol):
    """A public rule from the public record to a decision."""

    def decide(self, seen: Observation) -> Decision:
        """Return the decision; equal observations give equal decisions on every machine."""

    def text(self) -> str:
        """Return the policy as one text: equal texts decide alike, and a plan's digest holds it."""


@dataclass(frozen=True)
class Every:
    """Sum after every `periods` periods."""

    periods: int
    bits: int = 16
    ciphertexts: int = 0

    def decide(self, seen: Observation) -> Decision:
        """Return the same decision always."""
        del seen
        return Decision(self.periods, self.bits, self.ciphertexts)

    def text(self) -> str:
        """Return the policy as one text."""
        return _text("every", asdict(self))


@dataclass(frozen=True)
class EventTriggered:
    """Sum when the change that is waiting to be sent is expected to be large enough.

    A period is expected to change the weights as much as each of the last sum's periods did.

    Args:
        threshold: log2 of the change worth a sum, in OCTAVEs, as `Observation.energy` has it.
        longest: sum after so many periods at the latest.
        bits, ciphertexts: as `Decision` has them.
    """

    threshold: int
    longest: int = 8
    bits: int = 16
    ciphertexts: int = 0

    def decide(self, seen: Observation) -> Decision:
        """Return the least number of periods with periods * energy >= threshold."""
        periods = 1
        while seen.energy > NOTHING and periods < self.longest:
            if seen.energy + fixed_log2(periods) >= self.threshold:
                break
            periods += 1
        return Decision(periods, self.bits, self.ciphertexts)

    def text(self) -> str:
        """Return the policy as one text."""
        return _text("event", asdict(self))


@dataclass(frozen=True)
class Random:
    """Sum after a random number of periods, 1 to twice the mean less one, drawn in public from the progress."""

    mean: int
    seed: int = 0
    bits: int = 16
    ciphertexts: int = 0

    def decide(self, seen: Observation) -> Decision:
        """Return the draw for this place in the plan."""
        drawn = hashlib.sha256(f"medward courier draw 1 {self.seed} {seen.progress}".encode()).digest()
        periods = 1 + int.from_bytes(drawn[:8], "little") % (2 * self.mean - 1)
        return Decision(periods, self.bits, self.ciphertexts)

    def text(self) -> str:
        """Return the policy as one text."""
        return _text("random", asdict(self))


@dataclass(frozen=True)
class LearnedPolicy:
    """A small network of integers: layers of weights and biases, ReLU between, the largest value decides.

    Values have 16 fractional bits, weights WEIGHT_BITS; a layer is (x W >> WEIGHT_BITS) + b in 64-bit integers, so that
    no machine rounds differently. Of equal values the first wins.

    Args:
        menu: what may be decided.
        layers: for each layer the rows of its matrix and its biases, as integers.
    """

    menu: tuple[Decision, ...]
    layers: tuple[tuple[tuple[tuple[int, ...], ...], tuple[int, ...]], ...]

    def values(self, seen: Observation) -> NDArray[np.int64]:
        """Return what the network gives each entry of the menu, int64[menu], ONE being 1."""
        x = np.array(seen.features(), np.int64)
        assert x.shape == (FEATURES,)
        for number, (weights, biases) in enumerate(self.layers):
            x = (x @ np.array(weights, np.int64) >> WEIGHT_BITS) + np.array(biases, np.int64)
            if number + 1 < len(self.layers):
                x = np.maximum(x, 0)
        return x

    def decide(self, seen: Observation) -> Decision:
        """Return the entry of the largest value."""
        return self.menu[int(np.argmax(self.values(seen)))]

    def text(self) -> str:
        """Return the policy as one text."""
        return _text("learned", asdict(self))


def fixed_network(
    menu: tuple[Decision, ...], layers: list[tuple[NDArray[np.float32], NDArray[np.float32]]]
) -> LearnedPolicy:
    """Return a trained network in integers.

    Args:
        menu: what its outputs stand for.
        layers: float [inputs, outputs] and [outputs] of each layer, for features in units of ONE.
    """

    def whole(values: NDArray[np.float32], unit: int) -> NDArray[np.int64]:
        return np.rint(np.asarray(values, np.float64) * unit).astype(np.int64)

    return LearnedPolicy(
        menu,
        tuple(
            (
                tuple(tuple(int(w) for w in row) for row in whole(weights, 1 << WEIGHT_BITS)),
                tuple(int(b) for b in whole(biases, ONE)),
            )
            for weights, biases in layers
        ),
    )


def _text(kind: str, fields: object) -> str:
    return json.dumps([kind, fields], separators=(",", ":"), sort_keys=True)


def read_policy(text: str) -> CourierPolicy:
    """Return the policy that a text names: what `text` wrote, a schedule in short, or what was learned.

        every:PERIODS   event:THRESHOLD   random:MEAN, each with :BITS and :CIPHERTEXTS behind it if wanted
        learned         the newest policy that medward brings; learned-1: the one of that number

    Raises:
        ValueError: it names none.
    """
    try:
        policy = _read(text) if text.startswith("[") else _short(text)
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"{text[:40]!r} is no policy ({error}); try every:2") from None
    _check(policy)
    return policy


def policy_name(policy: CourierPolicy) -> str:
    """Return the short name that `read_policy` takes; a hash of the text of a policy that medward does not bring."""
    match policy:
        case Every():
            return f"every:{policy.periods}:{policy.bits}:{policy.ciphertexts}"
        case EventTriggered(longest=8):
            return f"event:{policy.threshold}:{policy.bits}:{policy.ciphertexts}"
        case Random(seed=0):
            return f"random:{policy.mean}:{policy.bits}:{policy.ciphertexts}"
    if policy == _read_shipped(NEWEST):
        return NEWEST
    return f"unnamed-{hashlib.sha256(policy.text().encode()).hexdigest()[:16]}"


def _read_shipped(name: str) -> CourierPolicy:
    file = resources.files(__package__) / f"{NEWEST if name == 'learned' else name}.json"
    if not file.is_file():
        raise ValueError(f"medward brings no {name}")
    return _read(file.read_text(encoding="utf-8"))


def _short(text: str) -> CourierPolicy:
    if re.fullmatch(r"learned(-\d+)?", text):
        return _read_shipped(text)
    kind, first, *rest = text.split(":")
    how = dict(zip(("bits", "ciphertexts"), map(int, rest), strict=False))
    if len(rest) > 2:
        raise ValueError("too many parts")
    match kind:
        case "every":
            return Every(int(first), **how)
        case "event":
            return EventTriggered(int(first), **how)
        case "random":
            return Random(int(first), **how)
    raise ValueError(f"no schedule is called {kind}")


def _read(text: str) -> CourierPolicy:
    kind, fields = json.loads(text)
    if kind == "learned":
        menu = tuple(Decision(**entry) for entry in fields["menu"])
        layers = tuple(
            (tuple(tuple(int(w) for w in row) for row in weights), tuple(int(b) for b in biases))
            for weights, biases in fields["layers"]
        )
        return LearnedPolicy(menu, layers)
    kinds = {"every": Every, "event": EventTriggered, "random": Random}
    policy: CourierPolicy = kinds[kind](**fields)
    return policy


def _check(policy: CourierPolicy) -> None:
    """Refuse what could not be carried out."""
    match policy:
        case LearnedPolicy():
            wanted, width = list(policy.menu), FEATURES
            for weights, biases in policy.layers:
                if len(weights) != width or any(len(row) != len(biases) for row in weights):
                    raise ValueError("a learned policy's layers do not fit each other")
                width = len(biases)
            if not wanted or width != len(wanted):
                raise ValueError("a learned policy's values do not fit its menu")
        case Every():
            wanted = [Decision(policy.periods, policy.bits, policy.ciphertexts)]
        case EventTriggered():
            wanted = [Decision(policy.longest, policy.bits, policy.ciphertexts)]
        case Random():
            wanted = [Decision(policy.mean, policy.bits, policy.ciphertexts)]
        case _:
            return
    for decision in wanted:
        least = 0 if isinstance(policy, LearnedPolicy) else 1
        if decision.periods < least or decision.bits not in WIDTHS or decision.ciphertexts < 0:
            raise ValueError(f"{decision} cannot be carried out; bits are one of {', '.join(map(str, WIDTHS))}")
