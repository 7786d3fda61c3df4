"""Policies are public rules in integers: texts name them, equal texts decide alike, and what cannot be is refused."""

import json
import subprocess
import sys

import numpy as np
import pytest

from medward.agents.courier.observation import NOTHING, OCTAVE, ONE, Decision, Observation, fixed_log2
from medward.agents.courier.policies import (
    WEIGHT_BITS,
    EventTriggered,
    Every,
    LearnedPolicy,
    Random,
    fixed_network,
    policy_name,
    read_policy,
)

TEXTS = ("every:2", "every:3:8", "event:-1024", "random:4:12:1", "learned")


def _observations(count: int) -> list[Observation]:
    rng = np.random.default_rng(5)
    ranges = ((0, ONE), (0, 9), (-16 * OCTAVE, 0), (0, ONE), (-ONE // 8, ONE // 8), (0, ONE))
    return [Observation(*(int(rng.integers(low, high)) for low, high in ranges)) for _ in range(count)]


@pytest.mark.parametrize("text", TEXTS)
def test_text_names_the_policy_and_reading_it_gives_the_same_decisions(text: str) -> None:
    policy = read_policy(text)
    again = read_policy(policy.text())
    assert again == policy
    assert read_policy(policy_name(policy)) == policy
    assert [again.decide(seen) for seen in _observations(200)] == [policy.decide(seen) for seen in _observations(200)]


@pytest.mark.slow
def test_shipped_policy_decides_alike_in_another_process() -> None:
    program = "from tests.agents.courier.test_policies import decisions; print(decisions())"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == decisions()


def decisions() -> str:
    """What the shipped policy decides on many observations."""
    return json.dumps([read_policy("learned").decide(seen).periods for seen in _observations(500)])


def test_learned_values_are_exact_integers() -> None:
    rng = np.random.default_rng(1)
    layers = [(rng.normal(size=(6, 5)).astype(np.float32), rng.normal(size=5).astype(np.float32)),
              (rng.normal(size=(5, 2)).astype(np.float32), rng.normal(size=2).astype(np.float32))]  # fmt: skip
    policy = fixed_network((Decision(1), Decision(2)), layers)
    for seen in _observations(50):
        x = list(seen.features())
        for number, (weights, biases) in enumerate(policy.layers):
            sums = [sum(v * row[k] for v, row in zip(x, weights, strict=True)) for k in range(len(biases))]
            x = [(s >> WEIGHT_BITS) + b for s, b in zip(sums, biases, strict=True)]
            if number == 0:
                x = [max(v, 0) for v in x]
        assert policy.values(seen).tolist() == x


def test_event_waits_longer_for_smaller_updates() -> None:
    policy = EventTriggered(threshold=-3 * OCTAVE, longest=8)
    assert policy.decide(Observation(energy=NOTHING)).periods == 1
    waits = [policy.decide(Observation(energy=-octaves * OCTAVE)).periods for octaves in (2, 3, 4, 5, 6, 9)]
    assert waits == [1, 1, 2, 4, 8, 8]


def test_random_has_its_mean_and_needs_no_secret() -> None:
    policy = Random(3)
    drawn = [policy.decide(Observation(progress=n)).periods for n in range(4000)]
    assert set(drawn) == {1, 2, 3, 4, 5}
    assert abs(np.mean(drawn) - 3) < 0.1


def test_logarithm_is_exact_at_powers_of_two_and_grows() -> None:
    assert [fixed_log2(2.0**k) for k in (-3, 0, 5)] == [-3 * OCTAVE, 0, 5 * OCTAVE]
    values = [fixed_log2(x) for x in np.linspace(0.01, 9, 500)]
    assert values == sorted(values)
    assert fixed_log2(0.0) == NOTHING


@pytest.mark.parametrize(
    "text",
    ["every:0", "every:1:7", "event:x", "sometimes:2", "learned-99", "[]", '["learned",{"menu":[],"layers":[]}]'],
)
def test_text_that_names_no_policy_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"policy|cannot be carried out"):
        read_policy(text)


def test_schedules_always_decide_the_same() -> None:
    assert {Every(2, 8).decide(seen) for seen in _observations(20)} == {Decision(2, 8)}
    assert isinstance(read_policy("learned"), LearnedPolicy)
