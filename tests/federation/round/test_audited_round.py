"""Seventeen members, of whom five answer alike and wrongly: no set fits that is tried, and an audit tells."""

from collections.abc import Iterator, Sequence

import pytest

from medward.federation.model.shared_model_format import encode_model
from medward.federation.records import Answer, Finish, NoFit, Record, Respond
from medward.federation.round.effects import OrderRecord, RoundEffect
from medward.federation.simulation.training import FederatedTraining
from medward.federation.sums.encrypted import EncryptedSum
from medward.federation.sums.interface import SumTerms
from medward.fhe import reconstruction
from tests.federation.conftest import Start

LIARS = tuple(f"hospital-{number}" for number in range(1, 6))


@pytest.fixture(autouse=True)
def few_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the 6,188 sets 1,000 are tried, and in one round of six the right one is among them."""
    monkeypatch.setattr(reconstruction, "MOST_SUBSETS", 1)


class _AnswersWrongly:
    """A holder that adds the same to its answer as the other liars do."""

    def __init__(self, honest: EncryptedSum) -> None:
        self._honest = honest

    def __getattr__(self, verb: str) -> object:
        return getattr(self._honest, verb)

    def answer(self, terms: SumTerms, cohort: Sequence[str]) -> bytes:
        content = bytearray(self._honest.answer(terms, cohort))
        content[-2000:-1000] = bytes(1000)
        return bytes(content)


def _watched(training: FederatedTraining, silent: frozenset[tuple[str, type]] = frozenset()) -> list[Record]:
    """Let liars answer wrongly, some keep silent, and return what will have been ordered."""
    simulation, seen = training._simulation, list[Record]()
    carry_out = simulation._carry_out
    for name in LIARS:
        participant = simulation._participants[name]
        liar = _AnswersWrongly(participant._sums)  # type: ignore[arg-type]
        participant._sums = participant._member._sums = liar  # type: ignore[assignment]

    def watch(name: str, effect: RoundEffect) -> None:
        if isinstance(effect, OrderRecord):
            if (name, type(effect.record)) in silent:
                return
            seen.append(effect.record)
        carry_out(name, effect)

    simulation._carry_out = watch  # type: ignore[method-assign]
    return seen


def _kinds(seen: Sequence[Record]) -> Iterator[type]:
    yield from dict.fromkeys(type(record) for record in seen)


@pytest.mark.slow
def test_answers_of_which_no_set_fits_are_audited_and_the_sum_is_exact(federation: Start) -> None:
    training, plain = (federation(sites=17, rounds=1, protect=how) for how in ("aggregate", "none"))
    seen = _watched(training)
    report = training._simulation.run_round()
    plain._simulation.run_round()
    assert report.outcome == "final"
    kinds = list(_kinds(seen))
    assert kinds.index(Answer) < kinds.index(NoFit) < kinds.index(Respond) < kinds.index(Finish)
    assert report.checks["audited"] == 17
    assert encode_model(training.shared) == encode_model(plain.shared)


@pytest.mark.slow
def test_dealer_silent_in_the_audit_makes_the_round_void_and_is_named(federation: Start) -> None:
    training = federation(sites=17, rounds=1, protect="aggregate")
    _watched(training, silent=frozenset({("hospital-9", Respond)}))
    report = training._simulation.run_round()
    assert report.outcome == "hospital-9 did not respond to the audit of the answers"
    assert training.shared.step == 0
