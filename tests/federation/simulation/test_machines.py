"""Whole federations whose sums are encrypted: the same model as in the open, and faults that are named or outlived."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from medward.federation.errors import FederationError
from medward.federation.model.shared_model_format import encode_model
from medward.federation.records import Answer, Attest, Complain, Record, SealingKey, Show, Submit
from medward.federation.round.effects import Fetch, OrderRecord, RoundEffect, Store
from medward.federation.round.state import Round
from medward.federation.simulation.machines import RoundReport
from medward.federation.simulation.training import FederatedTraining
from medward.federation.sums.encrypted import EncryptedSum
from medward.federation.sums.interface import DealingVerdict, IntVector, SumTerms
from tests.federation.conftest import Start

NAMES = ("hospital-1", "hospital-2", "hospital-3", "hospital-4")


def _quiet(_: object) -> None:
    return


@pytest.fixture
def encrypted(federation: Start) -> Start:
    """Return a function that makes a federation with encrypted sums."""

    def start(**fields: object) -> FederatedTraining:
        return federation(**{"protect": "aggregate", "rounds": 2} | fields)

    return start


def test_encryption_changes_no_bit_of_the_model(federation: Start, encrypted: Start) -> None:
    plain, secret = federation(rounds=2), encrypted()
    plain.run(None, _quiet)
    secret.run(None, _quiet)
    assert encode_model(plain.shared) == encode_model(secret.shared)


@pytest.mark.slow
@pytest.mark.parametrize("bits", [4, 8, 12])
def test_every_width_sums_exactly(federation: Start, encrypted: Start, bits: int) -> None:
    plain, secret = (start(rounds=1, bits=bits) for start in (federation, encrypted))
    plain.run(None, _quiet)
    secret.run(None, _quiet)
    assert encode_model(plain.shared) == encode_model(secret.shared)


Change = Callable[[str, RoundEffect], Iterator[RoundEffect]]


def _changed(training: FederatedTraining, change: Change) -> None:
    """Let `change` see, replace or drop what members ask to be done."""
    simulation = training._simulation
    carry_out = simulation._carry_out

    def between(name: str, effect: RoundEffect) -> None:
        for other in change(name, effect):
            carry_out(name, other)

    simulation._carry_out = between  # type: ignore[method-assign]


@pytest.mark.slow
def test_silent_hospital_is_absent_and_not_in_the_cohorts(encrypted: Start) -> None:
    training = encrypted(silent=("hospital-2",))
    training.run(None, _quiet)
    others = ("hospital-1", "hospital-3", "hospital-4")
    assert {report.cohort for report in training.reports} == {others}
    assert {tuple(report.answers) for report in training.reports} == {others}


def _without(training: FederatedTraining, member: str, kind: type[Record], round_number: int = 0) -> None:
    """A member says nothing of this kind in one round."""

    def silent(name: str, effect: RoundEffect) -> Iterator[RoundEffect]:
        record = effect.record if isinstance(effect, OrderRecord) else None
        if not (name == member and isinstance(record, kind) and getattr(record, "round", round_number) == round_number):
            yield effect

    _changed(training, silent)


def _withheld(training: FederatedTraining, what: Callable[[Round], tuple[str, ...]], *but: str) -> None:
    """Nobody can get these blobs of a round, except the members named."""

    def fewer(name: str, effect: RoundEffect) -> Iterator[RoundEffect]:
        now = training._simulation._participants[name].state.round
        if isinstance(effect, Fetch) and now is not None and name not in but:
            hidden = what(now)
            effect = replace(effect, names=tuple(blob for blob in effect.names if blob not in hidden))
        yield effect

    _changed(training, fewer)


@pytest.mark.slow
def test_holder_silent_at_its_answer_costs_nothing(federation: Start, encrypted: Start) -> None:
    training, plain = encrypted(), federation(rounds=2)
    _without(training, "hospital-3", Answer, 3)
    training.run(None, _quiet)
    plain.run(None, _quiet)
    assert encode_model(training.shared) == encode_model(plain.shared)
    assert tuple(training.reports[3].answers) == ("hospital-1", "hospital-2", "hospital-4")


def test_two_silent_holders_of_four_make_the_round_void(encrypted: Start) -> None:
    training = encrypted()
    _without(training, "hospital-1", Answer)
    _without(training, "hospital-2", Answer)
    report = training._simulation.run_round()
    assert report.outcome == "2 holders answered; 3 are needed"
    assert training.shared.step == 0


@pytest.mark.slow
def test_hospital_that_renews_no_key_is_absent_once_the_old_one_is_eight_rounds_old(encrypted: Start) -> None:
    training = encrypted(rounds=9)
    ordered: list[str] = []

    def once(name: str, effect: RoundEffect) -> Iterator[RoundEffect]:
        if isinstance(effect, OrderRecord) and isinstance(effect.record, SealingKey):
            ordered.append(name)
            if name == "hospital-4" and ordered.count(name) > 1:
                return
        yield effect

    _changed(training, once)
    training.run(None, _quiet)
    answered = ["hospital-4" in report.answers for report in training.reports]
    assert answered == [True] * 9 + [False] * (len(answered) - 9)
    assert all(report.cohort == NAMES for report in training.reports)


class _Liar:
    """One member's part with some verbs changed; everything else is the honest part's."""

    def __init__(self, honest: EncryptedSum, **verbs: Callable[..., object]) -> None:
        self._honest, self._verbs = honest, verbs

    def __getattr__(self, verb: str) -> object:
        if verb in self._verbs:
            return lambda *arguments: self._verbs[verb](self._honest, *arguments)
        return getattr(self._honest, verb)


def _lies(training: FederatedTraining, name: str, **verbs: Callable[..., object]) -> None:
    participant = training._simulation._participants[name]
    liar = _Liar(participant._sums, **verbs)  # type: ignore[arg-type]
    participant._sums = participant._member._sums = liar  # type: ignore[assignment]


def _flipped(content: bytes, at: int) -> bytes:
    at %= len(content)
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.fixture
def first_model(federation: Start) -> bytes:
    """The model after the first round, whoever lies in it."""
    training = federation(rounds=2)
    training._simulation.run_round()
    return encode_model(training.shared)


@pytest.mark.parametrize("at", [0, 8, 20, 30, 20_000])
def test_spoiled_contribution_is_at_most_its_authors_number(encrypted: Start, at: int) -> None:
    """A bit of the header or check block leaves it out; one of a ciphertext is a number that its author chose."""
    training = encrypted()

    def contribute(honest: EncryptedSum, terms: SumTerms, values: IntVector) -> bytes:
        return _flipped(honest.contribute(terms, values), at)

    def contributed(honest: EncryptedSum, terms: SumTerms) -> bytes | None:
        content = honest.contributed(terms)
        return None if content is None else _flipped(content, at)

    _lies(training, "hospital-2", contribute=contribute, contributed=contributed)
    report = training._simulation.run_round()
    # The check block begins at byte 24 and the first ciphertext, which holds counts here, at byte 12,824.
    assert report.checks["in_the_cohort"] == (4 if at == 20_000 else 3)
    assert report.outcome == ("no model was found by enough members" if at == 20_000 else "final")


def test_share_that_does_not_open_is_shown_and_its_dealer_stays(encrypted: Start, first_model: bytes) -> None:
    """The box of the last holder is spoiled: it complains, and uses the share that the dealer shows to all."""
    training = encrypted()

    def spoiled(honest: EncryptedSum, terms: SumTerms, *values: IntVector) -> bytes | None:
        content = honest.contribute(terms, *values) if values else honest.contributed(terms)
        return None if content is None else _flipped(content, -1)

    _lies(training, "hospital-2", contribute=spoiled, contributed=spoiled)
    report = training._simulation.run_round()
    assert (report.outcome, report.cohort, set(report.answers)) == ("final", NAMES, set(NAMES))
    assert (report.checks["complaints"], report.checks["shown"]) == (1, 1)
    assert encode_model(training.shared) == first_model


def test_dealer_that_shows_nothing_or_something_else_is_out(encrypted: Start) -> None:
    for show in (lambda honest, terms, holders: _flipped(honest.show(terms, holders), -1), None):
        training = encrypted()

        def complains(
            honest: EncryptedSum, terms: SumTerms, beacon: bytes, dealer: str, *blobs: bytes
        ) -> DealingVerdict:
            found = honest.examine(terms, beacon, dealer, *blobs)
            return DealingVerdict.COMPLAINT if dealer == "hospital-2" else found

        _lies(training, "hospital-4", examine=complains)
        if show is None:
            _without(training, "hospital-2", Show)
        else:
            _lies(training, "hospital-2", show=show)
        report = training._simulation.run_round()
        assert (report.outcome, report.cohort) == ("final", ("hospital-1", "hospital-3", "hospital-4"))


def test_holder_that_complains_of_everybody_stops_nobody(encrypted: Start, first_model: bytes) -> None:
    training = encrypted()

    def complains(honest: EncryptedSum, *about: object) -> DealingVerdict:
        honest.examine(*about)  # type: ignore[arg-type]
        return DealingVerdict.COMPLAINT

    _lies(training, "hospital-4", examine=complains)
    report = training._simulation.run_round()
    assert (report.cohort, report.checks["shown"]) == (NAMES, 4)
    assert encode_model(training.shared) == first_model


def test_holder_that_calls_everything_wrong_leaves_nobody_out(encrypted: Start, first_model: bytes) -> None:
    training = encrypted()

    def accuses(honest: EncryptedSum, *about: object) -> DealingVerdict:
        honest.examine(*about)  # type: ignore[arg-type]
        return DealingVerdict.AT_FAULT

    _lies(training, "hospital-1", examine=accuses)
    assert training._simulation.run_round().cohort == NAMES
    assert encode_model(training.shared) == first_model


def test_wrong_response_to_the_beacon_leaves_its_dealer_out(encrypted: Start) -> None:
    training = encrypted()
    _lies(training, "hospital-3", respond=lambda honest, *about: _flipped(honest.respond(*about), 40))
    report = training._simulation.run_round()
    assert (report.outcome, report.cohort) == ("final", ("hospital-1", "hospital-2", "hospital-4"))


@pytest.mark.parametrize("at", [3, 30, 6000, -1])
def test_wrong_answer_never_gives_a_wrong_sum(encrypted: Start, first_model: bytes, at: int) -> None:
    training = encrypted()
    _lies(training, "hospital-1", answer=lambda honest, *about: _flipped(honest.answer(*about), at))
    report = training._simulation.run_round()
    assert (report.outcome, len(report.answers)) == ("final", 4)
    assert encode_model(training.shared) == first_model


def test_answer_that_is_named_and_withheld_stops_nothing(encrypted: Start, first_model: bytes) -> None:
    """Threat M16: t good answers are enough, and fetches never wait for the slowest."""
    training = encrypted()
    _withheld(training, lambda now: tuple(now.answers.get(name, "") for name in ("hospital-3",)))
    assert training._simulation.run_round().outcome == "final"
    assert encode_model(training.shared) == first_model


def test_contribution_that_is_named_and_withheld_costs_half_a_deadline_and_its_author_its_place(
    encrypted: Start,
) -> None:
    training = encrypted()
    simulation = training._simulation

    def withheld(now: Round) -> tuple[str, ...]:
        shown = now.submissions.get("hospital-2")
        return () if shown is None else (shown.contribution,)

    _withheld(training, withheld, "hospital-2")
    report = simulation.run_round()
    assert (report.outcome, report.cohort) == ("final", ("hospital-1", "hospital-3", "hospital-4"))
    assert simulation._log.time <= 0.75 * simulation.state.terms.deadline
    assert set(report.answers) == set(NAMES)


def test_contribution_that_some_get_late_is_summed_by_all(encrypted: Start, first_model: bytes) -> None:
    """One honest holder does not get a contribution in time; it checks it later, and answers then."""
    training = encrypted()
    late: list[bool] = []

    def withheld(now: Round) -> tuple[str, ...]:
        shown = now.submissions.get("hospital-2")
        hidden = not now.cohort and shown is not None
        late.append(hidden)
        return (shown.contribution,) if hidden and shown is not None else ()

    _withheld(training, withheld, "hospital-1", "hospital-2", "hospital-4")
    report = training._simulation.run_round()
    assert any(late)
    assert (report.cohort, set(report.answers)) == (NAMES, set(NAMES))
    assert encode_model(training.shared) == first_model


def test_holder_that_has_not_checked_a_share_does_not_answer(encrypted: Start, first_model: bytes) -> None:
    """Threat M2: a share of the cohort that never came is not added, and nothing stands in for it."""
    training = encrypted()

    def withheld(now: Round) -> tuple[str, ...]:
        shown = now.submissions.get("hospital-2")
        return () if shown is None else (shown.contribution,)

    _withheld(training, withheld, "hospital-1", "hospital-2", "hospital-4")
    report = training._simulation.run_round()
    assert (report.cohort, "hospital-3" in report.answers) == (NAMES, False)
    assert encode_model(training.shared) == first_model


def test_secrets_of_sealing_keys_are_erased_when_their_round_is_over(encrypted: Start) -> None:
    """Threat M11: whoever takes a machine reads no share of an earlier round."""
    training = encrypted()
    simulation = training._simulation
    simulation.run_round()
    first = simulation.state.round
    assert first is not None
    simulation.run_round()
    for name in NAMES:
        kept = simulation._journals[name].sealing_keys()
        assert first.sealing_keys[name] not in kept
        assert simulation.state.sealing_key(name) in kept


def test_every_member_attests_once_and_nobody_accuses_where_all_are_honest(encrypted: Start) -> None:
    training = encrypted(rounds=1)
    seen: list[Record] = []

    def watch(name: str, effect: RoundEffect) -> Iterator[RoundEffect]:
        if isinstance(effect, OrderRecord):
            seen.append(effect.record)
        yield effect

    _changed(training, watch)
    report = training._simulation.run_round()
    assert report.outcome == "final"
    for kind in (Submit, Attest, Answer):
        assert sorted(r.member for r in seen if isinstance(r, kind)) == sorted(NAMES)
    assert not [record for record in seen if isinstance(record, Show | Complain)]


def test_nothing_that_travels_holds_a_contribution_in_the_clear(encrypted: Start) -> None:
    training = encrypted(rounds=1)
    stored: list[bytes] = []

    def watch(name: str, effect: RoundEffect) -> Iterator[RoundEffect]:
        if isinstance(effect, Store):
            stored.append(effect.content)
        yield effect

    _changed(training, watch)
    values = training._hospitals[0].work(training.shared, 0)
    training._simulation.run_round()
    assert len(stored) >= 4
    for width in ("<i8", "<i4", "<i2", "u1"):
        piece = values[values > 0][:4].astype(width).tobytes()
        assert len(piece) < 8 or not any(piece in content for content in stored)


@pytest.mark.slow
def test_resumed_run_ends_as_an_uninterrupted_one(encrypted: Start, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(report: RoundReport) -> None:
        if broken.shared.round == 1:
            raise Stop

    whole, broken, resumed = encrypted(bits=8), encrypted(bits=8), encrypted(bits=8)
    whole.run(None, _quiet)
    with pytest.raises(Stop):
        broken.run(tmp_path, lambda report: None if broken.shared.round < 1 else stop(report))
    with pytest.raises(FederationError, match="no checkpoint"):
        resumed.resume(tmp_path / "nothing")
    resumed.resume(tmp_path)
    resumed.run(tmp_path, _quiet)
    assert encode_model(resumed.shared) == encode_model(whole.shared)
