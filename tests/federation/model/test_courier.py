"""Sums that cover several periods, some blocks or another width: the same for everybody, exact, and nothing is lost."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

import medward.federation.model.hospital
from medward.agents.courier.observation import Decision, Observation
from medward.federation.errors import FederationError, RecordRefused
from medward.federation.model import courier
from medward.federation.model.shared_model import SharedModel
from medward.federation.model.shared_model_format import decode_model, encode_model
from medward.federation.model.wire import parts, sum_set
from medward.federation.records import BeginRound, Dispatch
from medward.federation.round.effects import RoundEffect, Store
from medward.federation.rules import apply
from medward.federation.simulation.training import FederatedTraining
from tests.agents.conftest import RECIPE
from tests.federation.conftest import Start

#: Models of all rounds have the same size.
ALL_AVERAGED = RECIPE.change(averaged_share=1.0)


def _quiet(_: object) -> None:
    return


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut the toy network into several blocks, of which some ciphertexts hold not all."""
    monkeypatch.setattr(courier, "BLOCK_VALUES", 100)


class Rotating:
    """A policy that sends three of the blocks, at changing widths and after changing numbers of periods."""

    def decide(self, seen: Observation) -> Decision:
        return Decision(1 + seen.progress % 2, (4, 8, 16)[seen.progress % 3], 1)

    def text(self) -> str:
        return "rotating"


@pytest.fixture
def rotating(monkeypatch: pytest.MonkeyPatch, small_blocks: None, federation: Start) -> Start:
    """Return a function that makes a federation under that policy."""
    decide = courier.Courier._blocks

    def three(self: courier.Courier, chosen: Decision, sent: list[int], weights: int) -> tuple[int, ...]:
        assert decide(self, chosen, sent, weights)
        return tuple(sorted(sorted(range(len(sent)), key=lambda block: (sent[block], block))[:3]))

    monkeypatch.setattr(courier.Courier, "_blocks", three)

    def start(**fields: object) -> FederatedTraining:
        training = federation(**{"courier": "every:1", "rounds": 6} | fields)
        courier = training.plan.courier
        assert courier is not None
        training.plan = replace(training.plan, courier=replace(courier, policy=Rotating()))
        training._simulation = training._simulate(replace(training.shared, plan=training.plan))
        return training

    return start


@pytest.mark.slow
def test_every_period_alone_is_what_no_courier_does(federation: Start) -> None:
    without, every = federation(rounds=3), federation(rounds=3, courier="every:1")
    without.run(None, _quiet)
    every.run(None, _quiet)
    np.testing.assert_array_equal(without.shared.weights, every.shared.weights)
    assert [report.task for report in every.reports] == [report.task for report in without.reports]


@pytest.mark.slow
def test_skipped_rounds_leave_fewer_sums_and_as_much_training(federation: Start) -> None:
    training = federation(rounds=5, courier="every:2")
    training.run(None, _quiet)
    assert [report.task for report in training.reports].count("train") == 3
    assert training.shared.round == 5
    assert set(training.shared.sent) == {5}


@pytest.mark.slow
def test_blocks_and_widths_change_no_bit_under_encryption(rotating: Start) -> None:
    plain, secret = rotating(), rotating(protect="aggregate")
    plain.run(None, _quiet)
    secret.run(None, _quiet)
    assert encode_model(plain.shared) == encode_model(secret.shared)
    assert len(set(plain.shared.sent)) > 1


def test_beginning_with_another_mask_width_or_length_is_refused(rotating: Start) -> None:
    training = rotating()
    while training.shared.task == "survey":
        training._simulation.run_round()
    state = training._simulation.state
    right = state.expected()
    for change in ({"blocks": right.dispatch.blocks[1:]}, {"bits": 12}, {"periods": 7}):
        wrong = replace_dispatch(right, **change)
        with pytest.raises(RecordRefused, match="not how round"):
            apply(state, wrong, "hospital-1", 0.0, bytes(32))
    begun = apply(state, right, "hospital-1", 0.0, bytes(32))
    assert begun.round is not None
    assert begun.round.dispatch == right.dispatch


def replace_dispatch(record: BeginRound, **change: object) -> BeginRound:
    fields = {name: getattr(record.dispatch, name) for name in ("bits", "blocks", "periods")} | change
    names = ("round", "task", "model", "invited", "counts", "values")
    return BeginRound(*(getattr(record, name) for name in names), Dispatch(**fields))


def _trained_alone(training: FederatedTraining) -> Iterator[tuple[SharedModel, SharedModel, np.ndarray]]:
    """Yield the shared model before and after each training sum and what it opens to, run without a log."""
    shared = training.shared
    for number in range(100):
        if shared.done:
            return
        total = np.asarray(sum(hospital.work(shared, number) for hospital in training._hospitals))
        after = shared.advance(total)
        if shared.task == "train":
            yield shared, after, total
        shared = after


def test_what_is_not_sent_is_carried_and_nothing_is_lost(rotating: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    training = rotating()
    hospital = training._hospitals[0]
    made: list[np.ndarray] = []
    sent: list[np.ndarray] = []

    weighted, work = medward.federation.model.hospital.weighted, hospital.work

    def watched(update: np.ndarray, rows: int, most_rows: int) -> np.ndarray:
        made.append(weighted(update, rows, most_rows))
        return made[-1]

    def working(shared: SharedModel, number: int) -> np.ndarray:
        if shared.task == "survey":
            return work(shared, number)
        with monkeypatch.context() as patch:
            patch.setattr(medward.federation.model.hospital, "weighted", watched)
            values = work(shared, number)
        whole = np.zeros(len(shared.picked()))
        whole[shared.picked()] = shared.quantiser(shared.dispatch).dequantise(values[shared.counts :])
        sent.append(whole)
        return values

    hospital.work = working  # type: ignore[method-assign]
    assert list(_trained_alone(training))
    assert hospital.carried is not None
    assert len(made) == len(sent) >= 3
    np.testing.assert_allclose(sum(sent) + hospital.carried.after, sum(made), atol=1e-12)
    assert np.abs(hospital.carried.after).max() > 0


@pytest.mark.slow
def test_decision_follows_from_the_public_model_alone(rotating: Start) -> None:
    """Whoever has only the encoded models, which are public, decides as the members do."""
    training = rotating()
    decided = set()
    for before, after, total in _trained_alone(training):
        onlooker = decode_model(training.plan, encode_model(before))
        assert onlooker.next == before.next
        assert onlooker.advance(total).next == after.next
        decided.add(before.dispatch)
    assert len(decided) > 1


@pytest.mark.slow
def test_bytes_accounted_are_the_bytes_that_a_secure_round_stores(federation: Start) -> None:
    training = federation(ALL_AVERAGED, rounds=2, courier="every:1:8", protect="aggregate")
    training.run(None, _quiet)
    shared, sites = training.shared, training.options.sites
    blobs = parts(sum_set(8, sites), courier.COUNTS, len(shared.weights))
    for report in [report for report in training.reports if report.task == "train"]:
        stored = sites * (blobs.contribution + blobs.response + blobs.answer)
        # Each member stores the next model, and so does the simulation; models differ in the digits of their signals.
        models = (sites + 1) * len(encode_model(shared))
        assert abs(report.bytes_up - stored - models) <= (sites + 1) * 16


@pytest.mark.slow
def test_budget_ends_the_training_before_it_is_overrun(federation: Start) -> None:
    free = federation(rounds=6, courier="every:1")
    free.run(None, _quiet)
    each = free.shared.signals.spent // 6
    training = federation(rounds=6, courier="every:1", budget=3 * each + each // 2)
    training.run(None, _quiet)
    assert training.shared.signals.spent == 3 * each
    assert training.shared.done
    assert training.shared.round == 3
    training.model()


def test_policy_that_is_none_is_refused_in_one_sentence(federation: Start) -> None:
    for text in ("every", "never:2", "every:0", "every:2:7", "[1]", "every:2:8:0:9"):
        with pytest.raises(FederationError, match="policy"):
            federation(courier=text)
    with pytest.raises(FederationError, match="budget"):
        federation(budget=5)


@pytest.mark.slow
def test_no_store_holds_a_block_that_was_not_sent(rotating: Start) -> None:
    """In the open, where contributions can be read: they hold the picked values and no others."""
    training = rotating()
    while training.shared.task == "survey":
        training._simulation.run_round()
    simulation, stored = training._simulation, []
    carry_out = simulation._carry_out

    def watch(name: str, effect: RoundEffect) -> None:
        if isinstance(effect, Store):
            stored.append(len(effect.content))
        carry_out(name, effect)

    simulation._carry_out = watch  # type: ignore[method-assign]
    values, counts = training.shared.values, training.shared.counts
    simulation.run_round()
    assert values < len(training.shared.weights)
    assert stored.count(len(b"hospital-1\n") + 8 * (counts + values)) == 4
