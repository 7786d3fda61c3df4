"""Random histories of members: nothing is changed against the honest, and each check that is left out is found."""

import inspect
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from medward.federation import application, membership, rules
from medward.federation.application import FederationApplication
from medward.federation.membership import Members
from tests.federation.membership_history import History, Violation

STEPS = 150


def play(seeds: range, *, steps: int = STEPS) -> Counter[str]:
    """Play histories, and return what happened in them; raises `Violation`."""
    counts: Counter[str] = Counter()
    for seed in seeds:
        history = History(seed, beyond=seed % 3 == 2)
        try:
            history.run(steps)
            history.ends_well()
        except Violation as violation:
            raise Violation(f"seed {seed}: {violation}") from None
        counts.update(history.counts)
    return counts


def test_no_history_with_f_liars_changes_the_members_against_the_honest() -> None:
    """Threat T1: and the rules agree with the second model after every record."""
    counts = play(range(60))
    assert counts["changes"] > 120
    assert counts["refused"] > 300
    assert counts["came"] > 30


@pytest.mark.slow
@pytest.mark.parametrize(
    "seeds", [range(1000, 1125), pytest.param(range(1125, 2000), marks=pytest.mark.release)], ids=["125", "875"]
)
def test_no_longer_history_with_f_liars_changes_the_members_against_the_honest(seeds: range) -> None:
    """Threat T1, the campaign: an eighth of its thousand histories, and the others before a release."""
    assert play(seeds, steps=200)["changes"] > 2.5 * len(seeds)


@dataclass(frozen=True)
class Weak:
    """A check that is taken out: the function, what its source says, and what it says instead."""

    function: Callable[..., Any]
    says: str
    instead: str


WEAK: dict[str, tuple[Weak, ...]] = {
    "f wishes are enough": (Weak(Members.wanted, "self.faulty + 1", "max(self.faulty, 1)"),),
    "new keys by one's own word": (Weak(Members.wanted, "change.account is None and ", ""),),
    "fewer members are a reason": (Weak(Members.wanted, "max(self.faulty + 1, needed)", "self.faulty + 1"),),
    "wishes with old keys": (
        Weak(membership._change, "name in (author, wish.change.name)", "name == wish.change.name"),
    ),
    "wishes of those who went": (
        Weak(membership._change, "name in (author, wish.change.name)", "name == wish.change.name"),
        Weak(Members.supporters, "for name in self.names)", "for name in self.wishes)"),
    ),
    "wishes about those who changed": (
        Weak(membership._change, "name in (author, wish.change.name)", "name == author"),
    ),
    "agreed on about those who changed": (
        Weak(membership._change, "if one.change.name != name", ""),
        Weak(membership._still_wanted, "if state.wanted(one.change, one.needed)", ""),
        Weak(membership.settled, "if not state.wanted(change, first.needed):", "if False:"),
    ),
    "others that wait are forgotten": (Weak(membership.settled, "agreed=tuple(others)", "agreed=()"),),
    "several changes in an epoch": (Weak(membership.settled, " or epoch == state.epoch", ""),),
    "not wanted any more at its turn": (
        Weak(membership.settled, "if not state.wanted(change, first.needed):", "if False:"),
    ),
    "not possible any more at its turn": (Weak(membership.settled, "_check(state, change)", "pass"),),
    "expired at its turn": (Weak(membership.settled, "state = _drop_expired(state, time)", ""),),
    "expired before it is wanted": (Weak(membership.wished, "state = _drop_expired(state, time)", ""),),
    "unlooked at when another is wished": (Weak(membership.wished, "state = _still_wanted(state)", ""),),
    "agreed on by itself": (
        Weak(
            membership._change,
            "return _still_wanted(",
            "for one in [w.change for own in state.wishes.values() for w in own.values()]:\n"
            "        if state.wanted(one) and one not in state.waiting:\n"
            "            state = replace(state, agreed=(*state.agreed, Agreed(one, 0)))\n"
            "    return _still_wanted(",
        ),
    ),
    "the first wish about a name stays": (
        Weak(membership.wished, "{**own, change.name: Wish(change, time)}", "{change.name: Wish(change, time), **own}"),
    ),
    "taken back, and still agreed on": (
        Weak(membership.retracted, "return _still_wanted(_without(", "return (_without("),
        Weak(membership.settled, "if not state.wanted(change, first.needed):", "if False:"),
    ),
    "taken back by another member": (
        Weak(membership.retracted, "(by, wish.change.name) == (author, name)", "wish.change.name == name"),
    ),
    "in the middle of a round": (Weak(rules._settle, "if state.busy:", "if False:"),),
    "a card of another name": (Weak(membership._check, "comes.name != name or ", ""),),
    "a card of another key": (Weak(membership._check, "keys[0] != account or ", ""),),
    "a key of another member": (Weak(membership._check, "taken is not None or ", ""),),
    "a key of a newcomer": (Weak(membership._check, "known |= {key.data: other for key in member.keys}", "pass"),),
    "no way to tell the ledger's epochs": (Weak(FederationApplication._carry_out, "block.epoch)", "block.height)"),),
}  # fmt: skip


def weaken(monkeypatch: pytest.MonkeyPatch, weak: Weak) -> None:
    """Put a function without a check in the place of the function."""
    source = textwrap.dedent(inspect.getsource(weak.function))
    assert source.count(weak.says) == 1, f"{weak.function.__qualname__} says {weak.says} not once"
    name, home = weak.function.__name__, sys.modules[weak.function.__module__]
    made: dict[str, Any] = {}
    exec(source.replace(weak.says, weak.instead), vars(home), made)
    owner: Any = getattr(home, weak.function.__qualname__.split(".")[0])
    if isinstance(owner, type):
        monkeypatch.setattr(owner, name, made[name])
        return
    for module in (home, rules, application):
        if getattr(module, name, None) is weak.function:
            monkeypatch.setattr(module, name, made[name])


@pytest.mark.parametrize(
    "weak",
    [
        pytest.param(weak, marks=() if at % 2 else pytest.mark.slow, id=name)
        for at, (name, weak) in enumerate(WEAK.items())
    ],
)
def test_histories_find_every_check_that_is_taken_out(monkeypatch: pytest.MonkeyPatch, weak: Sequence[Weak]) -> None:
    """Threat T1: none of the checks is for nothing."""
    for one in weak:
        weaken(monkeypatch, one)
    with pytest.raises(Violation):
        play(range(400))
