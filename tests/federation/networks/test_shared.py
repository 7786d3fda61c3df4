"""A shared network between two rounds: what a sum leads to, whoever lies in it, and one encoding of each state."""

from dataclasses import replace

import numpy as np
import pytest

from medward.errors import BadUsage
from medward.federation.errors import FederationError
from medward.federation.networks.shared import first_network, flat, scores_of
from tests.federation.networks.centres import CLASSES, PLAN, Centres, trained, training


def test_surveys_lead_to_a_scaler_the_classes_that_are_held_and_first_weights() -> None:
    state = first_network(PLAN)
    assert (state.task, state.round) == ("survey", -2)
    assert state.next is not None
    assert state.next.counts == state.grid.size + CLASSES
    state = training(held=(1, 0, 3))
    assert (state.task, state.round, state.classes) == ("train", 0, (0, 2))
    assert state.weights is not None
    assert state.next is not None
    assert (state.next.counts, state.next.values) == (0, len(state.weights))


@pytest.mark.parametrize("held", [(0, 0, 0), (4, 0, 0), (0, 1, 1)])
def test_survey_of_one_side_only_leads_to_no_network(held: tuple[int, ...]) -> None:
    with pytest.raises(FederationError, match="nothing can be learned"):
        training(held)


def test_survey_with_negative_counts_leads_to_no_network() -> None:
    state = first_network(PLAN)
    assert state.next is not None
    total = np.ones(state.next.counts, np.int64)
    total[-1] = -1
    with pytest.raises(FederationError, match="did not send what it counted"):
        state.advance(total)


def test_mean_is_taken_over_those_who_contributed() -> None:
    state = training()
    assert state.weights is not None
    total = np.full(len(state.weights), 4 * PLAN.quantiser().largest // 8)
    for members in (4, 2):
        after = state.advance(total, 0, (4, members))
        assert after.weights is not None
        np.testing.assert_allclose(after.weights - state.weights, 0.5 / members, rtol=1e-3)
        assert after.step == state.step + 1


def test_mean_that_a_liar_made_large_is_bounded_by_one_honest_update() -> None:
    state = training()
    assert state.weights is not None
    for sign in (1, -1):
        after = state.advance(np.full(len(state.weights), sign * 10**12), 0, (4, 4))
        assert after.weights is not None
        np.testing.assert_allclose(after.weights - state.weights, sign * PLAN.clip, rtol=1e-5)


def test_each_refusal_halves_the_step() -> None:
    state = training()
    assert state.weights is not None
    total = np.random.default_rng(1).integers(-99, 99, len(state.weights))
    changes = [state.advance(total, refused, (4, 4)).change for refused in range(3)]
    for refused, change in enumerate(changes):
        np.testing.assert_array_equal(change, changes[0] / np.float32(2**refused))


def test_round_that_summed_nothing_leads_to_other_weights_each_time() -> None:
    state = training()
    skipped, twice = state.advance(None), state.advance(None).advance(None)
    moved = trained(state)
    all_weights = [
        s.weights.tobytes() for s in (state, skipped, twice, moved, moved.advance(None)) if s.weights is not None
    ]
    assert len(set(all_weights)) == 5
    assert (skipped.step, twice.skipped, moved.advance(None).step) == (state.step, 2, moved.step)
    with pytest.raises(FederationError, match="Without a survey"):
        first_network(PLAN).advance(None)


def test_plan_is_fulfilled_after_its_rounds_and_asks_for_no_further_sum() -> None:
    state = training()
    for _ in range(PLAN.rounds):
        assert not state.done
        state = trained(state)
    assert state.done
    assert state.next is None


def test_same_sums_lead_to_the_same_bytes_and_each_state_has_its_own() -> None:
    stages = [first_network(PLAN), training(), training().advance(None), trained(training())]
    encoded = [state.to_bytes() for state in stages]
    assert len(set(encoded)) == len(encoded)
    assert trained(training()).to_bytes() == encoded[-1]
    other = replace(PLAN, seed=PLAN.seed + 1)
    assert replace(stages[0], plan=other).to_bytes() != encoded[0]


@pytest.mark.parametrize("change", [{"rounds": 9}, {"seed": 9}, {"bits": 8}, {"clip": 2.0}])
def test_plan_that_differs_has_another_digest(change: dict[str, float]) -> None:
    assert replace(PLAN, **change).digest != PLAN.digest  # type: ignore[arg-type]

    class Other(Centres):
        pass

    assert replace(PLAN, network=Other()).digest != PLAN.digest


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        (np.zeros((2, 3)), "one flat vector"),
        (np.zeros(0), "one flat vector"),
        (np.float32(1), "one flat vector"),
        (np.zeros(4), "was given 6 weights and returned 4"),
        (np.array([0, 1, np.nan, 3, 4, 5]), "not all finite"),
        (np.array([0, 1, np.inf, 3, 4, 5]), "not all finite"),
        (np.full(6, 1e300), "not all finite"),
    ],
)
def test_weights_of_a_user_s_network_that_are_none_are_refused(weights: np.ndarray, sentence: str) -> None:
    with np.errstate(over="ignore"), pytest.raises(BadUsage, match=sentence):
        flat(weights, np.zeros(6, np.float32))


def test_scores_of_another_shape_are_refused() -> None:
    class Transposed(Centres):
        def scores(self, weights: np.ndarray, x: np.ndarray, classes: int) -> np.ndarray:
            return super().scores(weights, x, classes).T

    x, weights = np.zeros((5, 2), np.float32), np.zeros(6, np.float32)
    assert scores_of(Centres(), weights, x, 3).shape == (5, 3)
    with pytest.raises(BadUsage, match=r"shape \(3, 5\): they must have \(5, 3\)"):
        scores_of(Transposed(), weights, x, 3)
