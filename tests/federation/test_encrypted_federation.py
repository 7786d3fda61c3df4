"""Whole federations whose sums are encrypted: the same model as in the open, and faults that are named or outlived."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medward.federation.effects import Effect, FetchKeyBlob, KeyBlobFetched, Order, Produced, Store, Work
from medward.federation.encrypted_sum import EncryptedSum, EpochMaterial
from medward.federation.interfaces import FederationError, IntVector, SecureSum, Slot, WrongSum
from medward.federation.records import Commit, KeyFailed, Reject, Resume, Reveal, Share
from medward.federation.simulation import RoundReport
from medward.federation.training import FederatedTraining
from medward.fhe import encryption
from medward.fhe.keys import parameters_ring
from medward.fhe.parameters import MOST_UNDECODED, SumParameters
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
    assert plain.shared.to_bytes() == secret.shared.to_bytes()


@pytest.mark.parametrize("bits", [4, 8, 12])
def test_every_width_sums_exactly(federation: Start, encrypted: Start, bits: int) -> None:
    plain, secret = (start(rounds=1, bits=bits) for start in (federation, encrypted))
    plain.run(None, _quiet)
    secret.run(None, _quiet)
    assert plain.shared.to_bytes() == secret.shared.to_bytes()


def test_silent_hospital_is_left_out_of_keys_and_cohorts(encrypted: Start) -> None:
    training = encrypted(silent=("hospital-2",))
    training.run(None, _quiet)
    assert [epoch.left_out.keys() for epoch in training.epochs] == [{"hospital-2"}]
    assert training.epochs[0].holders == ("hospital-1", "hospital-3", "hospital-4")
    assert {report.cohort for report in training.reports} == {("hospital-1", "hospital-3", "hospital-4")}


Change = Callable[[str, Effect], Iterator[Effect]]


def _changed(training: FederatedTraining, change: Change) -> None:
    """Let `change` see, replace or drop what members ask to be done."""
    simulation = training._simulation
    carry_out = simulation._carry_out

    def between(name: str, effect: Effect) -> None:
        for other in change(name, effect):
            carry_out(name, other)

    simulation._carry_out = between  # type: ignore[method-assign]


def test_holder_silent_at_its_share_is_opened_and_new_keys_follow(federation: Start, encrypted: Start) -> None:
    training, plain = encrypted(), federation(rounds=2)

    def dies_once(name: str, effect: Effect) -> Iterator[Effect]:
        if (
            not (name == "hospital-3" and isinstance(effect, Order) and isinstance(effect.record, Share))
            or effect.record.round != 3
        ):
            yield effect

    _changed(training, dies_once)
    training.run(None, _quiet)
    plain.run(None, _quiet)
    assert [report.opened for report in training.reports] == [(), (), (), ("hospital-3",), ()]
    assert [epoch.epoch for epoch in training.epochs] == [1, 5]
    assert training.shared.to_bytes() == plain.shared.to_bytes()


def test_member_away_while_keys_were_made_asks_for_new_ones_and_holds_a_part_of_them(encrypted: Start) -> None:
    training, away = encrypted(), [True]

    def says_nothing(name: str, effect: Effect) -> Iterator[Effect]:
        if not (away[0] and name == "hospital-2" and isinstance(effect, Order)):
            yield effect

    _changed(training, says_nothing)
    simulation = training._simulation
    reports = [simulation.run_round()]
    # It comes back without having seen the ceremony: it has not even the public keys.
    returned = simulation._participants["hospital-2"]
    returned._material = None
    returned._member.rekeyed(None)
    away[0] = False
    assert not returned.holds_keys
    reports += [simulation.run_round() for _ in range(3)]
    others = ("hospital-1", "hospital-3", "hospital-4")
    assert [report.cohort for report in reports] == [others, others, NAMES, NAMES]
    assert [epoch.holders for epoch in training.epochs] == [others, NAMES]
    assert reports[-1].shares.keys() == set(NAMES)


def test_member_that_ends_the_ceremony_after_the_others_contributes_to_the_round_under_way(encrypted: Start) -> None:
    training = encrypted()
    simulation, name = training._simulation, "hospital-2"
    slow: list[KeyBlobFetched] = []

    def late(member: str, effect: Effect) -> Iterator[Effect]:
        if member == name and isinstance(effect, FetchKeyBlob) and effect.dealer is None:
            slow.append(KeyBlobFetched(effect, simulation._blob(effect.name)))
            return
        if member == name and isinstance(effect, Work):
            values = simulation._hospitals[name].work(simulation.shared, effect.round)
            simulation._give(name, Produced(effect.round, values))
        yield effect
        if member == NAMES[-1] and isinstance(effect, Order) and isinstance(effect.record, Commit):
            participant = simulation._participants[name]
            while slow:
                event = slow.pop(0)
                assert participant.still_needs(event.fetch)
                simulation._give(name, event)

    _changed(training, late)
    report = simulation.run_round()
    assert name not in training.epochs[0].holders, "it could not say in time what it thinks of the others' keys"
    assert report.cohort == NAMES


def test_ceremony_of_too_few_is_begun_again_once_they_are_found_missing(encrypted: Start) -> None:
    training, failures = encrypted(), list[KeyFailed]()

    def away_until_it_failed(member: str, effect: Effect) -> Iterator[Effect]:
        record = effect.record if isinstance(effect, Order) else None
        if isinstance(record, KeyFailed):
            failures.append(record)
        if failures or member not in NAMES[:2] or record is None:
            yield effect

    _changed(training, away_until_it_failed)
    simulation = training._simulation
    began = simulation._log.time
    report = simulation.run_round()
    assert {record.member for record in failures} == set(NAMES)
    assert report.cohort == NAMES
    assert [epoch.holders for epoch in training.epochs] == [NAMES]
    assert simulation._log.time - began < 3 * simulation.state.terms.deadline


def test_asking_whether_a_member_holds_keys_makes_nothing(encrypted: Start) -> None:
    """Whoever asks is in another thread than the one that the member's journal belongs to."""
    training = encrypted(rounds=1)
    participant = training._simulation._participants[NAMES[0]]
    assert not participant.holds_keys
    training._simulation.run_round()

    def refuses(_material: EpochMaterial, _least_cohort: int) -> SecureSum:
        raise AssertionError("opens the journal")

    participant._make_sums = refuses
    assert participant.holds_keys


def test_two_silent_holders_make_the_round_void(encrypted: Start) -> None:
    training = encrypted()

    def die(name: str, effect: Effect) -> Iterator[Effect]:
        if not (name in NAMES[:2] and isinstance(effect, Order) and isinstance(effect.record, Share)):
            yield effect

    _changed(training, die)
    report = training._simulation.run_round()
    assert "too few" in report.outcome or "too many" in report.outcome
    assert training.shared.step == 0


class _Liar:
    """One member's part with some verbs changed; everything else is the honest part's."""

    def __init__(self, honest: EncryptedSum, **verbs: Callable[..., object]) -> None:
        self._honest, self._verbs = honest, verbs

    def __getattr__(self, verb: str) -> object:
        if verb in self._verbs:
            return lambda *arguments: self._verbs[verb](self._honest, *arguments)
        return getattr(self._honest, verb)


def _with_liar(training: FederatedTraining, name: str, **verbs: Callable[..., object]) -> RoundReport:
    """Run one round in which `name` lies."""
    participant = training._simulation._participants[name]
    make = participant._make_sums

    def lying(material: EpochMaterial, least_cohort: int) -> SecureSum:
        return _Liar(make(material, least_cohort), **verbs)  # type: ignore[return-value, arg-type]

    participant._make_sums = lying
    return training._simulation.run_round()


def _flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize("at", [0, 8, 30, -1])
def test_spoiled_contribution_is_left_out_of_the_cohort(encrypted: Start, at: int) -> None:
    """A flipped bit in header, parameter digest, ciphertext or proof."""

    def seal(honest: EncryptedSum, slot: Slot, values: IntVector) -> bytes:
        content = honest.seal(slot, values)
        return _flipped(content, at % len(content))

    report = _with_liar(encrypted(), "hospital-2", seal=seal)
    assert (report.outcome, report.cohort) == ("final", ("hospital-1", "hospital-3", "hospital-4"))


@pytest.mark.parametrize("lie", ["one ciphertext as the sum", "one missing", "scaled", "a flipped bit"])
def test_wrong_aggregate_is_refused_before_any_share_exists(encrypted: Start, lie: str) -> None:
    def add(honest: EncryptedSum, slot: Slot, contributions: dict[str, bytes]) -> bytes:
        some = dict(contributions)
        if lie == "one ciphertext as the sum":
            some = dict(list(some.items())[:1])
        elif lie == "one missing":
            some.popitem()
        elif lie == "scaled":
            some["hospital-2"] = some["hospital-1"]
        total = honest.add(slot, some)
        return _flipped(total, len(total) // 2) if lie == "a flipped bit" else total

    training = encrypted()
    seen: list[type] = []

    def watch(name: str, effect: Effect) -> Iterator[Effect]:
        if isinstance(effect, Order) and isinstance(effect.record, Reject | Share):
            seen.append(type(effect.record))
        yield effect

    _changed(training, watch)
    report = _with_liar(training, "hospital-1", add=add)
    assert report.outcome == "final"
    assert seen[0] is Reject
    assert seen.count(Share) == 4
    assert seen.index(Share) > max(place for place, kind in enumerate(seen) if kind is Reject)


def test_share_that_is_not_proved_is_found_and_its_holder_opened(encrypted: Start) -> None:
    def share(honest: EncryptedSum, slot: Slot, aggregate: bytes) -> bytes:
        content = honest.share(slot, aggregate)
        return _flipped(content, 500)

    report = _with_liar(encrypted(), "hospital-4", share=share)
    assert (report.outcome, report.opened) == ("final", ("hospital-4",))


def test_sums_that_do_not_decode_lead_to_new_keys(encrypted: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A member proves its c1 as it must and spoils c0: no proof names anybody.

    After four such sums the holders answer no more under these keys (spec/scheme.md, attack 11); the federation makes
    new ones, also when it had stopped in between.
    """
    honest_encrypt = encryption.encrypt

    def spoiling(parameters: SumParameters, *arguments: object) -> tuple[encryption.Ciphertext, object]:
        ciphertext, witness = honest_encrypt(parameters, *arguments)  # type: ignore[arg-type]
        ring = parameters_ring(parameters)
        half = ring.forward(ring.embed(np.ones(ring.degree, np.int64), [ring.modulus // 2]))
        return replace(ciphertext, c0=ring.add(ciphertext.c0, half)), witness

    def seal(honest: EncryptedSum, slot: Slot, values: IntVector) -> bytes:
        with monkeypatch.context() as patched:
            if slot.round < MOST_UNDECODED:
                patched.setattr("medward.fhe.member.encrypt", spoiling)
            return honest.seal(slot, values)

    training = encrypted()
    simulation = training._simulation
    reports = [_with_liar(training, "hospital-2", seal=seal)]
    for round in range(1, MOST_UNDECODED):
        assert training.epochs[-1].epoch == 1
        if round % 3 == 0:
            assert simulation.state.stopped is not None
            for name in NAMES[2:]:
                simulation._log.append(Resume(), name)
        reports.append(simulation.run_round())
    assert {report.outcome for report in reports} == {"no model was found by enough members"}
    assert simulation.state.epoch is not None
    assert simulation.state.epoch.undecoded == MOST_UNDECODED
    assert simulation.state.keys_due
    assert simulation.run_round().outcome == "final"
    assert [epoch.epoch for epoch in training.epochs] == [1, 5]


def test_wrong_dealt_share_does_not_stop_an_opening_by_enough_others(encrypted: Start) -> None:
    training = encrypted(sites=5)

    def dies(name: str, effect: Effect) -> Iterator[Effect]:
        if not (name == "hospital-5" and isinstance(effect, Order) and isinstance(effect.record, Share)):
            yield effect

    revealed: list[str] = []

    def watch(name: str, effect: Effect) -> Iterator[Effect]:
        if isinstance(effect, Order) and isinstance(effect.record, Reveal):
            revealed.append(name)
        yield from dies(name, effect)

    _changed(training, watch)
    report = _with_liar(training, "hospital-1", reveal=lambda honest, slot, holder: honest.reveal(slot, holder)[:-1])
    assert len(revealed) == 4
    assert "no model" in report.outcome  # 5 holders, t = 4: the liar's share is missing
    assert training.shared.step == 0


def test_contribution_of_another_round_or_member_is_refused(encrypted: Start) -> None:
    training = encrypted()
    training._simulation.run_round()
    parts = [training._simulation._participants[name]._sums() for name in NAMES[:2]]
    one, two = parts
    assert one is not None
    assert two is not None
    slot, later = Slot("f", 11, 4, 10), Slot("f", 12, 4, 10)
    sealed = one.seal(slot, np.arange(14))
    two.examine(slot, "hospital-1", sealed)
    for where, who in ((later, "hospital-1"), (slot, "hospital-3")):
        with pytest.raises(WrongSum, match=who):
            two.examine(where, who, sealed)
    with pytest.raises(WrongSum, match="was not checked"):
        two.share(slot, sealed)
    with pytest.raises(WrongSum, match="another question"):
        one.seal(slot, np.arange(14) + 1)
    assert one.seal(slot, np.arange(14)) == sealed
    with pytest.raises(WrongSum, match="not 14"):
        one.seal(slot, np.arange(13))
    with pytest.raises(WrongSum, match="clip before encoding"):
        one.seal(Slot("f", 13, 0, 1), np.array([1 << 20]))


def test_nothing_that_travels_holds_a_contribution_in_the_clear(encrypted: Start) -> None:
    training = encrypted(rounds=1)
    stored: list[bytes] = []

    def watch(name: str, effect: Effect) -> Iterator[Effect]:
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
    assert resumed.shared.to_bytes() == whole.shared.to_bytes()
