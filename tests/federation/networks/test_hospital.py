"""A hospital's side of a federated network: what it sends, what it keeps for later, and how it votes."""

from dataclasses import replace

import numpy as np

from medward.federation.model.hospital import LEAST_VALIDATION_ROWS, TrainingRows
from medward.federation.networks.hospital import NetworkHospital
from medward.federation.networks.shared import SharedNetwork, first_network
from tests.federation.networks.centres import CLASSES, PLAN, training


def rows(count: int, seed: int = 1, classes: tuple[int, ...] = (0, 1, 2)) -> TrainingRows:
    generator = np.random.default_rng(seed)
    y = generator.choice(np.array(classes), count).astype(np.int32)
    x = (generator.normal(size=(count, 2)) / 8 + y[:, None]).astype(np.float32)
    return TrainingRows(x, y, np.zeros(count, np.int32), None)


def hospital(own: TrainingRows, validation: TrainingRows | None = None) -> NetworkHospital:
    return NetworkHospital(b"secret", own, rows(0) if validation is None else validation)


def test_survey_counts_every_row_once_in_each_column_and_in_its_class() -> None:
    shared, own = first_network(PLAN), rows(90)
    counted = hospital(own).work(shared, 0)
    assert shared.next is not None
    assert len(counted) == shared.next.counts
    assert counted[-CLASSES:].tolist() == np.bincount(own.y, minlength=CLASSES).tolist()
    assert counted[:-CLASSES].sum() == 90 * 2
    assert counted.min() >= 0


def test_hospital_without_rows_counts_nothing() -> None:
    assert not hospital(rows(0)).work(first_network(PLAN), 0).any()


def test_what_is_cut_or_rounded_is_sent_with_the_next_updates_and_nothing_is_lost() -> None:
    """The whole change of a weight by far more than a round may send arrives after some rounds."""
    plan = replace(PLAN, clip=0.25, bits=8)
    shared = training(plan=plan)
    assert shared.weights is not None
    own = hospital(rows(60))
    x, y = shared.inputs(rows(60).x), rows(60).y
    wanted = plan.network.train(shared.weights.copy(), x, y, CLASSES, 0) - shared.weights
    assert np.abs(wanted).max() > plan.clip
    sent, step = np.zeros(len(wanted)), plan.quantiser().step
    for number in range(4):
        integers = own.work(replace(shared, step=shared.step + number), number)
        assert np.abs(integers).max() <= plan.quantiser().largest
        sent += integers * step
    # The same change is wanted each round, so four times of it are sent or still carried.
    (left,) = (kept for at, kept in own._carried.items() if at == shared.step + 4)
    np.testing.assert_allclose(sent + left, 4 * wanted, atol=1e-4)


def test_repeated_step_carries_the_same_once_more() -> None:
    shared, own = training(), hospital(rows(60))
    own.work(shared, 0)
    later = replace(shared, step=shared.step + 1)
    first = own.work(later, 1)
    again = own.work(later, 1)
    np.testing.assert_array_equal(first, again)


def test_no_two_rounds_round_alike_and_no_two_secrets() -> None:
    shared = training()
    one = hospital(rows(60)).work(shared, 0)
    other_round = hospital(rows(60)).work(shared, 1)
    other_secret = NetworkHospital(b"other", rows(60), rows(0)).work(shared, 0)
    assert (one != other_round).any()
    assert (one != other_secret).any()
    assert np.abs(one - other_round).max() <= 1


def test_rows_of_a_class_that_the_network_does_not_know_are_left_out() -> None:
    shared = training(held=(5, 0, 3))
    own = rows(60)
    known = own.y != 1
    without = TrainingRows(own.x[known], own.y[known], own.stream[known], None)
    np.testing.assert_array_equal(hospital(own).work(shared, 0), hospital(without).work(shared, 0))


def _with_centres(right: bool) -> SharedNetwork:
    """Return a network with the classes' centres, or with each class's centre for another."""
    shared = first_network(PLAN)
    while shared.task == "survey":
        shared = shared.advance(hospital(rows(300)).work(shared, 0), 0, (1, 1))
    assert shared.weights is not None
    x, y = shared.inputs(rows(300).x), rows(300).y
    weights = PLAN.network.train(shared.weights.copy(), x, y if right else (y + 1) % 3, CLASSES, 0)
    return replace(shared, weights=np.asarray(weights, np.float32))


def test_hospital_refuses_a_network_that_clearly_errs_more_and_accepts_a_better_one() -> None:
    good, bad = (_with_centres(right) for right in (True, False))
    votes = hospital(rows(60), rows(200, seed=2))
    assert votes.accepts(good, good)
    assert votes.accepts(bad, good)
    assert not votes.accepts(good, bad)


def test_hospital_with_few_validation_rows_or_before_the_first_weights_refuses_nothing() -> None:
    good, bad = (_with_centres(right) for right in (True, False))
    assert hospital(rows(60), rows(LEAST_VALIDATION_ROWS - 1)).accepts(good, bad)
    assert hospital(rows(60), rows(200)).accepts(first_network(PLAN), bad)
