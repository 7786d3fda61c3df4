"""Trees grown by a federation: the ones of the pooled rows, under encryption too, and nobody's liar decides them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.agents.boosting import MOST_CELLS, begun, cells, counted_by, grow
from medward.agents.courier.observation import Decision, Observation
from medward.agents.model import SentinelModel
from medward.agents.recipe import Trees
from medward.federation.digits import BITS, DIGITS, LARGEST, from_digits, to_digits
from medward.federation.hospital import Hospital, training_rows
from medward.federation.interfaces import FederationError
from medward.federation.rehearsal import Rehearsal
from medward.federation.shared_model import SharedModel, first_model, from_bytes
from medward.federation.sums.interface import IntVector
from medward.federation.training import FederatedTraining
from medward.federation.wire import sum_set
from medward.fhe.lanes import BlockLayout
from medward.fhe.parameters import MOST_BLOCKS
from tests.agents.conftest import RECIPE
from tests.federation.conftest import Start

GROWING = replace(RECIPE, trees=Trees(rounds=2, depth=3, cuts=15, least=2.0))


def _trained(training: FederatedTraining) -> FederatedTraining:
    while training.shared.task != "grow":
        training._simulation.run_round()
    return training


def _grown(training: FederatedTraining) -> SharedModel:
    while not training.shared.done:
        assert training._simulation.run_round().outcome == "final"
    return training.shared


def _same_trees(one: SentinelModel, other: SentinelModel) -> None:
    for name, array in one.trees.arrays().items():
        np.testing.assert_array_equal(array, other.trees.arrays()[name], err_msg=name)


@given(st.lists(st.lists(st.integers(-LARGEST, LARGEST), min_size=3, max_size=3), min_size=1, max_size=16))
def test_sums_of_digits_are_the_sums_of_the_numbers(numbers: list[list[int]]) -> None:
    digits = [to_digits(np.array(own, np.int64)) for own in numbers]
    assert all((np.abs(own) < 1 << (BITS - 1)).all() and len(own) == 3 * DIGITS for own in digits)
    np.testing.assert_array_equal(from_digits(np.sum(digits, axis=0)), np.sum(numbers, axis=0))


def test_larger_numbers_count_as_the_largest() -> None:
    np.testing.assert_array_equal(from_digits(to_digits(np.array([1 << 40, -(1 << 40)]))), [LARGEST, -LARGEST])


def test_federation_grows_the_trees_of_the_pooled_rows(federation: Start) -> None:
    training = _trained(federation(GROWING))
    network, cuts = training.model(), training.shared.cuts
    assert cuts is not None
    assert not len(network.trees)
    shared = _grown(training)
    prepared, train = training.prepared, training.prepared.split.train
    y = network.labels(prepared.flows.y[train])
    growth = begun(len(network.classes))
    assert GROWING.trees is not None
    while growth.round < GROWING.trees.rounds:
        growth = grow(growth, cuts, GROWING.trees, counted_by(network, growth, cuts, prepared.x[train], y))
    assert shared.growth is not None
    for name, array in growth.grown.arrays().items():
        np.testing.assert_array_equal(array, shared.growth.grown.arrays()[name], err_msg=name)
    assert len(training.model().trees) == GROWING.trees.rounds * len(network.classes)
    assert len(training.model().trees.column) > len(training.model().trees)


def test_training_before_the_trees_is_the_training_without(federation: Start) -> None:
    with_trees, without = _trained(federation(GROWING)), federation()
    without.run(None, lambda report: None)
    np.testing.assert_array_equal(with_trees.shared.tail, without.shared.tail)
    assert with_trees.shared.round == without.shared.round == 4


def test_encrypted_federation_grows_the_same_trees(federation: Start) -> None:
    plain, encrypted = federation(GROWING, rounds=1), federation(GROWING, rounds=1, protect="aggregate")
    models = [training.run(None, lambda report: None) for training in (plain, encrypted)]
    assert len(models[0].trees.column) > len(models[0].trees)
    _same_trees(*models)
    assert plain.shared.to_bytes() == encrypted.shared.to_bytes()
    assert [report.task for report in encrypted.reports] == [report.task for report in plain.reports]


def test_width_of_training_has_no_part_in_the_trees_sums(federation: Start) -> None:
    training = _trained(federation(GROWING, rounds=1, bits=8))
    assert training.shared.dispatch is not None
    assert training.shared.dispatch.bits == BITS
    assert training.shared.counts == 0


def test_silent_hospital_keeps_no_tree_from_growing(federation: Start) -> None:
    training = _trained(federation(GROWING, silent=("hospital-2",)))
    _grown(training)
    grown = [report for report in training.reports if report.task == "grow"]
    assert all("hospital-2" not in report.cohort and len(report.cohort) == 3 for report in grown)
    assert len(training.model().trees.column) > len(training.model().trees)


def test_everybody_is_asked_for_trees_where_training_samples(federation: Start) -> None:
    training = federation(GROWING, sites=6, rounds=2, sample=0.84)
    training.run(None, lambda report: None)
    cohorts = {report.task: len(report.cohort) for report in training.reports}
    assert cohorts["grow"] == cohorts["survey"] == 6
    assert cohorts["train"] == 3


def test_encoding_round_trips_while_trees_grow(federation: Start) -> None:
    training = federation(GROWING, rounds=1)
    while not training.shared.done:
        content = training.shared.to_bytes()
        again = from_bytes(training.plan, content)
        assert again.to_bytes() == content
        assert again.next == training.shared.next
        training._simulation.run_round()
    assert from_bytes(training.plan, training.shared.to_bytes()).done


def test_damaged_trees_of_a_shared_model_are_refused(federation: Start) -> None:
    training = _trained(federation(GROWING, rounds=1))
    _grown(training)
    growth = training.shared.growth
    assert growth is not None
    endless = replace(growth.grown, left=np.zeros_like(growth.grown.left))
    content = replace(training.shared, growth=replace(growth, grown=endless)).to_bytes()
    with pytest.raises(FederationError, match="trees are damaged"):
        from_bytes(training.plan, content)


def test_run_that_was_stopped_among_the_trees_ends_with_the_same(federation: Start, tmp_path: object) -> None:
    whole = federation(GROWING, rounds=1)
    whole.run(None, lambda report: None)
    assert whole.shared.growth is not None

    class Stop(Exception):
        pass

    broken = federation(GROWING, rounds=1)

    def stop(report: object) -> None:
        if broken.shared.growth is not None and len(broken.shared.growth.growing.column) > 3:
            raise Stop

    with pytest.raises(Stop):
        broken.run(tmp_path, stop)
    resumed = federation(GROWING, rounds=1)
    resumed.resume(tmp_path)
    resumed.run(tmp_path, lambda report: None)
    assert resumed.shared.to_bytes() == whole.shared.to_bytes()


def test_each_refused_model_halves_what_the_trees_say(federation: Start) -> None:
    shared = _trained(federation(replace(GROWING, trees=replace(Trees(), rounds=1, depth=1)))).shared
    work = _sum(federation(GROWING), shared)
    whole, half = (shared.advance(work, refused).growth for refused in (0, 1))
    assert whole is not None
    assert half is not None
    np.testing.assert_allclose(half.grown.value, whole.grown.value / 2)
    assert np.abs(whole.grown.value).max() > 0


def _sum(training: FederatedTraining, shared: SharedModel) -> IntVector:
    total: IntVector = np.sum([hospital.work(shared, 0) for hospital in training.hospitals], axis=0)
    return total


def test_hospitals_vote_against_trees_that_make_the_model_worse(federation: Start) -> None:
    training = _trained(federation(replace(GROWING, trees=Trees(rounds=1, depth=1, rate=1.0)), rounds=8))
    shared = training.shared
    honest = shared.advance(_sum(training, shared))
    assert all(hospital.accepts(shared, honest) for hospital in training.hospitals)
    # A liar's slopes, as large as they may be, all for ALLOW.
    assert shared.growth is not None
    assert shared.cuts is not None
    lie = np.zeros((cells(shared.growth, shared.cuts), 2), np.int64)
    lie[: len(lie) // 3, 0] = -LARGEST
    poisoned = shared.advance(_sum(training, shared) + to_digits(lie.reshape(-1)))
    assert not any(hospital.accepts(shared, poisoned) for hospital in training.hospitals)


def test_rows_of_a_class_that_the_model_cannot_name_are_left_out(federation: Start) -> None:
    training = federation(GROWING)
    prepared, share = training.prepared, training.shares[0]
    y = np.where(prepared.flows.y == 1, 0, prepared.flows.y).astype(np.int32)
    fewer = replace(prepared, flows=replace(prepared.flows, y=y))
    shared = _trained(FederatedTraining(fewer, GROWING, replace(training.options, rounds=1))).shared
    assert shared.classes == (0, 2)
    known = share[prepared.flows.y[share] != 1]
    assert 0 < len(known) < len(share)
    rows = (training_rows(prepared.flows, prepared.x, prepared.stream, own) for own in (share, known))
    all_rows, known_rows = (Hospital(b"", own).work(shared, 0) for own in rows)
    np.testing.assert_array_equal(all_rows, known_rows)


def test_rehearsal_of_courier_grows_no_trees(federation: Start) -> None:
    training = federation(GROWING, rounds=2, courier="every:1")
    rehearsal = Rehearsal(training.hospitals, first_model(training.plan))

    class Once:
        def decide(self, seen: Observation) -> Decision:
            return Decision(1 if seen.progress == 0 else 0)

        def text(self) -> str:
            return "once"

    # With trees to grow, the training that Courier ends would go on with sums that tell it nothing.
    episode = rehearsal.play(Once())
    assert episode.shared.growth is None
    assert episode.steps[-1].ended
    assert episode.steps[-1].sent == 0


def test_courier_decides_on_training_alone(federation: Start) -> None:
    training = federation(GROWING, rounds=2, courier="every:2")
    training.run(None, lambda report: None)
    tasks = [report.task for report in training.reports]
    assert tasks.count("train") == 1
    assert tasks[-1] == "grow"
    assert len(training.model().trees) > 0


@pytest.mark.parametrize("members", [3, 4, 7, 10, 16, 17, 31, 64])
def test_widest_sum_of_cells_fits_a_contribution(members: int) -> None:
    assert BlockLayout(sum_set(BITS, members), 0, 2 * DIGITS * MOST_CELLS).blocks <= MOST_BLOCKS
