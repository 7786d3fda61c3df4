"""Exploring: draws follow from the seed and what is seen, come from the menu by its odds, and leave the rest alone."""

import json
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.agents.courier.exploring import Exploring
from medward.agents.courier.observation import ONE, Decision, Observation

OWN = Decision(7)
MENU = (Decision(0), Decision(1, 12), Decision(4, 16, 2))


@dataclass(frozen=True)
class Always:
    def decide(self, seen: Observation) -> Decision:
        return OWN

    def text(self) -> str:
        return "always"


def seen_at(progress: int) -> Observation:
    return Observation(progress=progress, covered=1, left=ONE // 2)


@given(st.integers(0, ONE), st.integers(0, 2**31), st.integers(0, 100))
def test_decision_is_the_policys_or_one_of_the_menu_and_the_same_again(progress: int, seed: int, share: int) -> None:
    policy = Exploring(Always(), MENU, (1, 0, 3), share, seed)
    decision = policy.decide(seen_at(progress))
    assert decision in (OWN, MENU[0], MENU[2])
    assert decision == policy.decide(seen_at(progress))


@pytest.mark.parametrize(("share", "own"), [(0, 400), (100, 0)])
def test_share_of_none_and_of_all(share: int, own: int) -> None:
    policy = Exploring(Always(), MENU, (1, 1, 1), share, 1)
    assert Counter(policy.decide(seen_at(number)) for number in range(400))[OWN] == own


def test_draws_keep_to_the_share_and_the_odds() -> None:
    policy = Exploring(Always(), MENU, (1, 0, 3), 30, 2)
    counts = Counter(policy.decide(seen_at(number)) for number in range(4000))
    drawn = counts[MENU[0]] + counts[MENU[2]]
    # Five standard deviations of these 4000 draws, which are the same on every machine.
    assert abs(drawn - 1200) < 145
    assert abs(counts[MENU[2]] - 0.75 * drawn) < 5 * (0.75 * 0.25 * drawn) ** 0.5


def test_text_tells_all_that_decisions_follow_from() -> None:
    texts = {
        Exploring(Always(), menu, odds, share, seed).text()
        for menu, odds in ((MENU, (1, 0, 3)), (MENU[::-1], (1, 0, 3)), (MENU, (3, 0, 1)))
        for share in (1, 2)
        for seed in (1, 2)
    }
    assert len(texts) == 12
    assert json.loads(min(texts))[:2] == ["exploring", "always"]
