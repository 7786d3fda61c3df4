"""Which shared models are held in memory: the last three that were used, and no more."""

from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from medward.federation.model.shared_model import SharedModel
from medward.node.training.recent_models import RecentModels

MODELS = {name: cast(SharedModel, object()) for name in "abcdef"}


@given(st.lists(st.sampled_from(sorted(MODELS))))
def test_the_three_that_were_used_last_are_held_and_no_others(used: list[str]) -> None:
    recent = RecentModels()
    for name in used:
        assert recent.use(name, MODELS[name]) is MODELS[name]
    newest_first = list(dict.fromkeys(reversed(used)))
    assert list(recent) == newest_first[:3][::-1]
    assert all(recent[name] is MODELS[name] for name in recent)
