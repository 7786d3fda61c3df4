"""The rules of a whole federation: which record changes what, what is refused, and how it goes on without a result."""

import dataclasses
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from medward.federation.application import (
    REFUSED,
    FederationApplication,
)
from medward.federation.errors import RecordRefused
from medward.federation.records import (
    Announce,
    Attest,
    Change,
    Commitment,
    Finish,
    ModelVote,
    Next,
    Observe,
    Record,
    Resume,
    RoundTick,
    SealingKey,
    Submit,
    commitment_to,
)
from medward.federation.round.rules import FOUND_WORSE, TOO_CLOSE
from medward.federation.round.state import Phase
from medward.federation.rules import (
    MAX_FRUITLESS_ROUNDS,
    OLDEST_KEY,
    SURVEY,
    WAIT_FOR_KEYS,
    WAY_OUT,
    HeldKey,
    apply,
    founded,
    surveyed,
    unknowns,
)
from medward.fhe.hybrid import HybridKey
from tests.federation.ledger import AGREEMENT, NAMES, Ledger, replica
from tests.federation.round.rounds import THEN


def test_member_cannot_speak_for_another(ledger: Ledger) -> None:
    opening = ledger.application.federation.expected()
    assert ledger.codes(("a", opening)) == [0]
    assert ledger.codes(("a", Commitment(0, "b", bytes(32))), ("b", Commitment(0, "b", bytes(32)))) == [REFUSED, 0]


def test_round_begins_once_and_only_as_agreed(ledger: Ledger) -> None:
    opening = ledger.application.federation.expected()
    wrong = opening.__class__(0, "train", "another model", NAMES, 1, 3)
    fewer = opening.__class__(0, "train", "model-0", NAMES[:3], 1, 3)
    assert ledger.codes(("a", wrong), ("a", fewer), ("b", opening), ("c", opening)) == [REFUSED, REFUSED, 0, REFUSED]


def test_three_fruitless_rounds_stop_the_federation_until_two_resume_it(ledger: Ledger) -> None:
    time = 1.0
    for _ in range(3):
        time += 100.0
        assert ledger.codes(("a", ledger.application.federation.expected()), time=time) == [0]
        time += 100.0
        ledger.order(("b", RoundTick(ledger.application.federation.number - 1)), time=time)
    assert ledger.application.federation.stopped is not None
    assert "led to no model" in ledger.application.federation.stopped
    assert ledger.codes(("a", ledger.application.federation.expected()), time=time) == [REFUSED]
    assert ledger.codes(("a", Resume()), ("a", Resume()), ("c", Resume()), time=time) == [0, REFUSED, 0]
    assert ledger.codes(("a", ledger.application.federation.expected()), time=time) == [0]


@pytest.fixture(scope="module")
def keys() -> dict[str, bytes]:
    return {name: HybridKey().public for name in NAMES}


@pytest.fixture
def encrypted() -> Ledger:
    """A federation of four with encrypted sums."""
    return Ledger(FederationApplication(replace(AGREEMENT, protect="aggregate")))


def test_round_begins_once_enough_holders_gave_a_key_and_waits_a_while_for_the_others(
    encrypted: Ledger, keys: dict[str, bytes]
) -> None:
    begin = encrypted.application.federation.expected()
    ordered = [(name, SealingKey(name, keys[name])) for name in NAMES]
    assert encrypted.codes(*ordered[:2], ("a", begin), time=60.0) == [0, 0, REFUSED]
    assert encrypted.codes(ordered[2], ("a", begin), time=64.9) == [0, REFUSED]
    twin = FederationApplication(replace(AGREEMENT, protect="aggregate"))
    twin.restore(encrypted.application.snapshot().encode())
    late = Ledger(twin, encrypted.height, encrypted.nonce)
    assert late.codes(("a", begin), time=65.0) == [0]
    now = late.application.federation.round
    assert now is not None
    assert (set(now.sealing_keys), now.sum_terms.sealing_keys[3]) == ({"a", "b", "c"}, b"")
    assert encrypted.codes(ordered[3], ("a", begin), time=64.9) == [0, 0]


def test_key_that_nothing_can_be_sealed_to_is_refused_when_it_is_ordered(
    encrypted: Ledger, keys: dict[str, bytes]
) -> None:
    """Threat M11: a key of low order, or a malformed one, would stop whoever deals to it."""
    good = keys["a"]
    for bad in (bytes(32) + good[32:], good[:32] + b"\xff" * (len(good) - 32), good[:-1], b""):
        assert encrypted.codes(("a", SealingKey("a", bad))) == [REFUSED]
    assert encrypted.codes(("b", SealingKey("a", good)), ("a", SealingKey("a", good))) == [REFUSED, 0]
    assert encrypted.codes(("b", SealingKey("b", good))) == [REFUSED]


def test_nobody_seals_to_a_key_older_than_eight_rounds(encrypted: Ledger, keys: dict[str, bytes]) -> None:
    """Threat M11: a hospital that does not renew its key is absent."""
    encrypted.order(*((name, SealingKey(name, keys[name])) for name in NAMES))
    state = encrypted.application.federation
    fresh = {name: HeldKey(held.key, 9) for name, held in state.sealing.items() if name != "d"}
    assert set(dataclasses.replace(state, number=8).present) == set(NAMES)
    old = dataclasses.replace(state, number=9, sealing={**state.sealing, **fresh})
    assert set(old.present) == {"a", "b", "c"}
    assert old.needs_sealing_key("d")
    assert not old.needs_sealing_key("a")


def test_what_a_round_began_with_stays_whoever_comes_goes_or_renews(encrypted: Ledger, keys: dict[str, bytes]) -> None:
    """Threat M12: members, holders, thresholds and keys are frozen when a round begins."""
    encrypted.order(*((name, SealingKey(name, keys[name])) for name in NAMES))
    encrypted.order(("a", encrypted.application.federation.expected()))
    begun = encrypted.application.federation.round
    assert begun is not None
    encrypted.order(("d", Change("d", None, None)), ("a", SealingKey("a", HybridKey().public)))
    encrypted.order(*((name, Change("e", b"e" * 32, replica("e"))) for name in "ab"))
    now = encrypted.application.federation
    assert now.round == begun
    assert now.terms.members == NAMES
    encrypted.order(("b", RoundTick(0)), time=100.0)
    assert encrypted.application.federation.terms.members == ("a", "b", "c")
    encrypted.order(("b", RoundTick(1)), time=101.0)
    after = encrypted.application.federation
    assert after.terms.members == ("a", "b", "c", "e")
    assert set(after.sealing) == {"a", "b", "c"}


def test_what_was_said_once_is_refused_again_also_in_the_next_round(ledger: Ledger) -> None:
    opening, said = ledger.application.federation.expected(), Commitment(0, "a", bytes(32))
    assert ledger.codes(("a", opening), ("a", said), ("a", said), ("b", said)) == [0, 0, REFUSED, REFUSED]
    ledger.order(("b", RoundTick(0)), time=100.0)
    assert ledger.codes(("a", opening), ("a", ledger.application.federation.expected()), time=200.0) == [REFUSED, 0]
    before = ledger.application.federation
    assert ledger.codes(("a", said), ("b", RoundTick(0)), time=201.0) == [REFUSED, REFUSED]
    assert ledger.application.federation == before


def test_rules_take_nothing_from_who_is_no_member(ledger: Ledger) -> None:
    """The application knows nobody but members; the rules refuse a stranger's word themselves."""
    state = ledger.application.federation
    with pytest.raises(RecordRefused, match="cannot say this"):
        apply(state, state.expected(), "x", 1.0, bytes(32))
    assert apply(state, state.expected(), "a", 1.0, bytes(32)).busy


def test_no_round_begins_within_another(ledger: Ledger) -> None:
    ledger.order(("a", ledger.application.federation.expected()))
    state = ledger.application.federation
    with pytest.raises(RecordRefused, match="A round is under way"):
        apply(state, state.expected(), "a", 1.0, bytes(32))


class Played:
    """A federation of four in the open, whose rounds are played by their records alone."""

    def __init__(self, *names: str, **agreed: object) -> None:
        names = names or NAMES
        accounts = {name: name.encode() * 32 for name in names}
        self.state = founded(replace(AGREEMENT, members=names, accounts=accounts, **agreed))
        self.time = 1.0

    def say(self, author: str, record: Record, epoch: int | None = 1) -> None:
        self.state = apply(self.state, record, author, self.time, b"block", epoch)

    def late(self) -> None:
        """Let a phase's deadline pass."""
        assert self.state.round is not None
        self.time = self.state.round.due
        self.say(self.state.terms.members[0], RoundTick(self.state.round.number))

    def round(self, cohort: Sequence[str], model: str, then: Next | None = THEN, *, accept: bool = True) -> str:
        """Play a round to which these contribute and that leads to this model; return its outcome."""
        state = self.state
        number, everybody = state.number, state.terms.members
        self.say(everybody[0], state.expected())
        for name in cohort:
            self.say(name, Commitment(number, name, commitment_to("test", number, name, f"blob {name}")))
        if len(cohort) < len(state.invited()):
            self.late()
        for name in cohort:
            self.say(name, Submit(number, name, f"blob {name}", f"response {name}"))
        for name in state.terms.holders:
            self.say(name, Attest(number, name, tuple(cohort)))
        for name in everybody[: state.terms.faulty + 1] if self.phase is Phase.ANSWERING else ():
            self.say(name, Finish(number, name, model, then))
        for name in everybody if self.phase is Phase.VOTING else ():
            if self.phase is Phase.VOTING:
                self.say(name, ModelVote(number, name, accept))
        assert self.state.round is not None
        return str(self.state.round.outcome)

    @property
    def phase(self) -> Phase | None:
        return None if self.state.round is None else self.state.round.phase


def test_final_round_leads_to_the_next_model_and_forgets_whose_updates_of_the_last_may_be_known() -> None:
    played = Played()
    assert played.round(NAMES, "model-1") == "model-1"
    assert (played.state.model, played.state.next, played.state.number) == ("model-1", THEN, 1)
    assert played.state.exposed == {}
    assert played.round(NAMES, "model-2", None) == "model-2"
    with pytest.raises(RecordRefused, match="The plan is fulfilled"):
        played.state.expected()


def test_survey_stays_known_whatever_model_follows() -> None:
    survey = Next("survey", 3, 0)
    played = Played(first=survey)
    played.round(NAMES, "model-1", survey)
    played.round(NAMES, "model-2", Next("gram", 3, 9))
    assert played.state.exposed == {SURVEY: (frozenset(NAMES),)}
    assert surveyed(played.state) == frozenset(NAMES)
    assert unknowns(played.state.expected()) == SURVEY


def test_model_that_a_majority_refused_is_asked_for_again_and_its_cohort_is_known() -> None:
    played = Played()
    assert played.round(NAMES, "model-1", accept=False) == FOUND_WORSE
    assert (played.state.model, played.state.refused, played.state.fruitless) == ("model-0", 1, 1)
    assert played.state.exposed == {"model-0": (frozenset(NAMES),)}
    assert played.round(NAMES[:3], "model-1").startswith(TOO_CLOSE)
    assert (played.state.refused, played.state.fruitless) == (1, 2)
    assert played.round(NAMES, "model-1") == "model-1"
    assert (played.state.refused, played.state.fruitless, played.state.exposed) == (0, 0, {})


def test_cohort_that_does_not_come_back_is_given_up_after_two_rounds_once_there_is_a_model() -> None:
    played = Played()
    played.round(NAMES, "model-1")
    played.round(NAMES, "model-2", accept=False)
    assert played.state.next == THEN
    played.round(NAMES[:3], "model-2")
    assert played.state.stopped is None
    assert played.state.next is not None
    assert (played.state.next.task, played.state.next.counts, played.state.next.values) == ("skip", 0, 0)
    # Nothing is summed, and everybody is asked.
    assert played.state.invited() == NAMES
    played.say("b", played.state.expected())
    assert played.phase is Phase.FINISHING


def test_first_cohort_that_does_not_come_back_stops_the_federation_and_resuming_goes_on_without_it() -> None:
    played = Played()
    played.round(NAMES, "model-1", accept=False)
    for _ in range(2):
        played.round(NAMES[:3], "model-1")
    assert str(played.state.stopped).endswith(WAY_OUT)
    played.say("a", Resume())
    assert played.state.stopped is not None
    played.say("b", Resume())
    assert (played.state.fruitless, played.state.resuming) == (3, frozenset())
    played.round(NAMES[:3], "model-1")
    assert played.state.next is not None
    assert played.state.next.task == "skip"


def test_federation_that_stopped_takes_no_round_and_all_that_is_not_of_rounds() -> None:
    played = Played()
    for _ in range(MAX_FRUITLESS_ROUNDS):
        played.say("a", played.state.expected())
        played.late()
    assert str(played.state.stopped).startswith("round 2 and the 2 before it led to no model (0 of 4 contributed")
    for record in (played.state.expected(), Commitment(2, "a", bytes(32))):
        with pytest.raises(RecordRefused, match="The federation has stopped: round 2"):
            played.say("a", record)
    played.say("a", Announce(b"here"))
    played.say("a", Observe(observes=True))
    played.say("b", Change("d", None, None))
    for name in "ac":
        played.say(name, Resume())
    assert (played.state.stopped, played.state.fruitless) == (None, 0)


def test_sample_is_the_same_for_a_model_that_is_asked_for_again_and_another_for_another() -> None:
    """Another cohort's sum of the same updates would tell too much beside the first."""
    names = tuple(f"hospital-{number}" for number in range(16))
    played = Played(*names, sample=0.8)
    drawn = played.state.invited()
    assert len(drawn) == 13
    assert list(drawn) == sorted(drawn, key=names.index)
    assert dataclasses.replace(played.state, number=9, idle_since=77.0).invited() == drawn
    others = {dataclasses.replace(played.state, model=f"model-{number}").invited() for number in range(1, 9)}
    assert len(others) > 4
    assert dataclasses.replace(played.state, next=Next("survey", 3, 0)).invited() == names
    few = Played(*names, sample=0.1).state
    assert len(few.invited()) == few.terms.least_cohort == 11


def test_records_of_rounds_are_refused_where_no_round_ever_was() -> None:
    played = Played()
    before = played.state
    with pytest.raises(RecordRefused, match="No round is under way"):
        played.say("a", Commitment(0, "a", bytes(32)))
    with pytest.raises(RecordRefused, match="No round is under way, and no change of the members waits"):
        played.say("a", RoundTick(0))
    with pytest.raises(RecordRefused, match="There is nothing to resume"):
        played.say("a", Resume())
    assert played.state is before


def test_sealing_key_of_another_or_for_another_is_refused(keys: dict[str, bytes]) -> None:
    played = Played(protect="aggregate")
    with pytest.raises(RecordRefused, match="a cannot say this for b"):
        played.say("a", SealingKey("b", keys["b"]))
    played.say("b", SealingKey("b", keys["b"]))
    with pytest.raises(RecordRefused, match="The sealing key of a is in use already"):
        played.say("a", SealingKey("a", keys["b"]))
    assert played.state.present == {"b": keys["b"]}


def test_holder_that_gave_no_key_for_long_is_waited_for_no_more(keys: dict[str, bytes]) -> None:
    played = Played(protect="aggregate")
    for name in "abc":
        played.say(name, SealingKey(name, keys[name]))
    wait = AGREEMENT.deadline * WAIT_FOR_KEYS
    assert played.state.begins_at == played.state.idle_since + wait
    for number, waits in ((OLDEST_KEY, wait), (OLDEST_KEY + 1, 0.0)):
        fresh = {name: HeldKey(held.key, number) for name, held in played.state.sealing.items()}
        later = dataclasses.replace(played.state, number=number, sealing=fresh)
        assert later.begins_at == later.idle_since + waits
