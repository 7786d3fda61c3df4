"""One member of a round: what each phase asks of it, what it says once, and what it does with what never comes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from medward.federation import records
from medward.federation.blobs import blob_name
from medward.federation.records import BeginRound, RoundTick
from medward.federation.round.effects import (
    Advance,
    Advanced,
    Fetch,
    Fetched,
    Judge,
    Judged,
    OrderRecord,
    Produced,
    RoundEffect,
    RoundEvent,
    Store,
)
from medward.federation.round.member import RoundMember
from medward.federation.round.state import Phase
from medward.federation.sums.interface import DealingVerdict, Decrypted, SumRefused, SumTerms
from medward.federation.sums.plain import PlainSum
from tests.federation.round.bed import MODEL, VALUES, Bed, lost
from tests.federation.round.rounds import BEGIN, KEYS, NAMES, TERMS, THEN, begun

TOTAL = [0, 10, 20, 30]


def records_of(effects: Sequence[RoundEffect]) -> list[records.Record]:
    return [effect.record for effect in effects if isinstance(effect, OrderRecord)]


def test_members_that_follow_find_the_sum_and_each_says_everything_once() -> None:
    bed = Bed().play()
    assert (bed.now.phase, bed.now.outcome, bed.now.cohort) == (Phase.FINAL, blob_name(MODEL), NAMES)
    assert all(effect.total is not None and effect.total.tolist() == TOTAL for effect in bed.advanced)
    assert {(effect.turnout, effect.refused, effect.model) for effect in bed.advanced} == {((4, 4), 0, "model-0")}
    for kind in (records.Commitment, records.Submit, records.Attest, records.Answer):
        assert [len(bed.said(kind, name)) for name in NAMES] == [1] * 4
    assert {type(one) for one in bed.refused} <= {records.Finish, records.ModelVote}
    verdicts = [one for one in bed.ordered if isinstance(one, records.Attest)]
    assert all((set(one.good), one.at_fault, one.complaints) == (set(NAMES), (), ()) for one in verdicts)


def test_what_was_not_asked_for_is_passed_over() -> None:
    """Events of another round, of another phase, and of one that is over: late work is nobody's contribution."""
    member = RoundMember("a", PlainSum("a"))
    assert member.step(Produced(5, VALUES["a"])) == []
    member.follow(begun(), None)
    event: RoundEvent
    for event in (Produced(4, VALUES["a"]), Produced(6, VALUES["a"]), Judged(5, True), Fetched(4, {})):
        assert member.step(event) == []
    over = replace(begun(), phase=Phase.VOID, outcome="nobody came")
    member.follow(over, RoundTick(5))
    for event in (Produced(5, VALUES["a"]), Advanced(5, MODEL, THEN), Judged(5, True)):
        assert member.step(event) == []
    assert member.hasten() == []
    checking = Bed().play(until=Phase.CHECKING)
    assert checking.members["a"].step(Produced(5, VALUES["b"])) == []


def test_work_that_is_done_twice_commits_to_the_first() -> None:
    """A slow computation that ends after it was begun again, with other noise, must not show two contributions."""
    member = RoundMember("a", PlainSum("a"))
    member.follow(begun(), None)
    first, second = member.step(Produced(5, VALUES["a"])), member.step(Produced(5, VALUES["b"]))
    assert first == second
    assert [type(effect) for effect in first] == [Store, OrderRecord]


def test_member_that_is_not_invited_contributes_nothing_and_checks_all_the_same() -> None:
    invited = tuple(name for name in NAMES if name != "d")
    bed = Bed(begin=replace_record(BEGIN, invited=invited)).play()
    assert (bed.now.phase, bed.now.cohort) == (Phase.FINAL, invited)
    assert (bed.said(records.Commitment, "d"), bed.said(records.Submit, "d")) == ([], [])
    assert len(bed.said(records.Attest, "d")) == len(bed.said(records.Answer, "d")) == 1


def replace_record(record: BeginRound, **changes: object) -> BeginRound:
    fields = {name: getattr(record, name) for name in record.__struct_fields__}
    return BeginRound(**fields | changes)


def contribution_of(bed: Bed, name: str) -> str:
    return bed.now.submissions[name].contribution


def test_member_that_lacks_a_blob_says_what_it_knows_at_half_of_the_deadline() -> None:
    bed = Bed()
    bed.withheld = lambda name: {contribution_of(bed, "d")} if name == "a" else set()
    bed.play()
    member, deadline = bed.members["a"], TERMS.deadline
    assert (bed.now.phase, bed.said(records.Attest, "a")) == (Phase.CHECKING, [])
    assert member.hastens_at == bed.now.since + deadline / 2
    (told,) = records_of(member.hasten())
    assert isinstance(told, records.Attest)
    assert (set(told.good), told.at_fault) == ({"a", "b", "c"}, ())
    assert member.hastens_at == float("inf")
    assert member.hasten() == []
    # What comes afterwards changes nothing of what it said.
    blob = contribution_of(bed, "d")
    assert records_of(member.step(Fetched(5, {blob: bed.blobs[blob]}))) == []


def test_dealer_whose_blob_is_another_is_named_by_all_others() -> None:
    class Liar(PlainSum):
        def respond(self, terms: SumTerms, beacon: bytes) -> bytes:
            return super().respond(replace(terms, round=4), beacon)

    bed = Bed(sums={"d": Liar("d")}).play()
    assert [one.at_fault for name in "abc" for one in bed.said(records.Attest, name)] == [("d",)] * 3
    assert (bed.now.phase, bed.now.cohort) == (Phase.FINAL, ("a", "b", "c"))


def test_bytes_that_are_not_what_a_blob_is_named_are_for_the_store_to_refuse_and_for_the_sum_to_judge() -> None:
    bed = Bed().play(until=Phase.CHECKING)
    member, blob = bed.members["a"], contribution_of(bed, "d")
    here = {
        one: bed.blobs[one]
        for dealing in bed.now.submissions.values()
        for one in (dealing.contribution, dealing.response)
    }
    (told,) = records_of(member.step(Fetched(5, here | {blob: b"nonsense"})))
    assert isinstance(told, records.Attest)
    assert told.at_fault == ("d",)


def test_member_shows_nothing_where_another_process_with_its_key_committed() -> None:
    """Two nodes with one home: what the other committed to is not this one's to show."""
    member = RoundMember("a", PlainSum("a"))
    member.follow(begun(), None)
    member.step(Produced(5, VALUES["a"]))
    foreign = records.commitment_to("test", 5, "a", "another blob")
    submitting = replace(begun(), phase=Phase.SUBMITTING, commitments={"a": foreign}, beacon=b"beacon")
    assert member.follow(submitting, RoundTick(5)) == []
    nothing = RoundMember("b", PlainSum("b"))
    assert nothing.follow(replace(submitting, commitments={"b": foreign}), None) == []


def test_member_that_starts_again_stores_its_blobs_again_and_hands_nothing_in_twice() -> None:
    parts = {name: PlainSum(name) for name in NAMES}
    bed = Bed(sums=parts)
    bed.withheld = lambda name: {contribution_of(bed, "d")} if name == "a" else set()
    bed.play()
    again = RoundMember("a", parts["a"])
    effects = again.follow(bed.now, None)
    submitted = bed.now.submissions["a"]
    stored = [blob_name(effect.content) for effect in effects if isinstance(effect, Store)]
    assert stored == [submitted.contribution, submitted.response]
    assert records_of(effects) == []
    (fetch,) = (effect for effect in effects if isinstance(effect, Fetch))
    assert not {submitted.contribution, submitted.response} & set(fetch.names)
    assert contribution_of(bed, "d") in fetch.names


def test_blobs_are_asked_for_once_and_only_those_that_are_missing() -> None:
    bed = Bed().play(until=Phase.CHECKING)
    (fetch,) = bed.members["a"].follow(bed.now, None)
    assert isinstance(fetch, Fetch)
    assert len(fetch.names) == len(set(fetch.names)) == 6
    bed.members["a"].step(Fetched(5, {fetch.names[0]: bed.blobs[fetch.names[0]]}))
    (less,) = bed.members["a"].follow(bed.now, None)
    assert isinstance(less, Fetch)
    assert less.names == fetch.names[1:]


def test_round_that_is_over_leaves_no_blob_for_the_next() -> None:
    bed = Bed().play()
    submitted = bed.now.submissions["b"]
    member = bed.members["a"]
    later = replace(bed.now, number=6, phase=Phase.CHECKING, outcome=None)
    later = replace(later, submissions={"b": records.Submit(6, "b", submitted.contribution, submitted.response)})
    (fetch,) = member.follow(later, None)
    assert isinstance(fetch, Fetch)
    assert fetch.names == (submitted.contribution, submitted.response)


class Refuses(PlainSum):
    """A part that must not answer: it showed other bytes before."""

    def answer(self, terms: SumTerms, cohort: Sequence[str]) -> bytes:
        raise SumRefused("answered for another cohort before")


def test_member_whose_part_refuses_says_nothing_and_the_others_finish() -> None:
    bed = Bed(sums={"a": Refuses("a")}).play()
    assert bed.said(records.Answer, "a") == []
    assert (bed.now.phase, bed.now.cohort) == (Phase.FINAL, NAMES)


class AnswersWrongly(PlainSum):
    def answer(self, terms: SumTerms, cohort: Sequence[str]) -> bytes:
        return super().answer(replace(terms, round=4), cohort)


def test_answers_of_which_too_few_fit_are_told_once_and_audited() -> None:
    bed = Bed(sums={name: AnswersWrongly(name) for name in "cd"}).play()
    said = [one for one in bed.ordered if isinstance(one, records.NoFit)]
    assert {one.member for one in said} >= {"a", "b"} - {
        name for name in "ab" if len(bed.said(records.NoFit, name)) != 1
    }
    assert all(set(one.answers) == set(NAMES) for one in said)
    assert any(isinstance(one, records.Respond) for one in bed.ordered)
    assert bed.advanced == []


class Complains(PlainSum):
    """A holder whose share of one dealer's is found wrong late, and that can prove it, or cannot."""

    def __init__(self, member: str, of: str, proves: bool) -> None:
        super().__init__(member)
        self.of, self.proves = of, proves

    def examine(
        self, terms: SumTerms, beacon: bytes, dealer: str, contribution: bytes, response: bytes
    ) -> DealingVerdict:
        found = super().examine(terms, beacon, dealer, contribution, response)
        return DealingVerdict.COMPLAINT if dealer == self.of else found

    def ready(self, terms: SumTerms, cohort: Sequence[str]) -> bool:
        return False

    def dealt(self, terms: SumTerms, dealer: str, contribution: bytes) -> bytes | None:
        return b"the share that was dealt"

    def convicts(self, *about: object, **more: object) -> bool:
        return self.proves


@pytest.mark.parametrize("proves", [True, False])
def test_holder_publishes_the_share_that_proves_its_dealer_at_fault_once_and_no_other(proves: bool) -> None:
    """Threat: an honest holder that published a good share would have given it to the liars."""
    bed = Bed(sums={"a": Complains("a", "d", proves)}, change=lost((records.Attest, "a")))
    bed.play()
    bed.order(RoundTick(5), time=bed.now.due)
    bed.play()
    assert bed.now.cohort == NAMES
    complaints = bed.said(records.Complain, "a")
    share = blob_name(b"the share that was dealt")
    assert complaints == ([records.Complain(5, "a", "d", share)] if proves else [])
    assert (share in bed.blobs) == proves
    assert bed.said(records.Answer, "a") == []


class NeverFits(PlainSum):
    def decrypt(
        self,
        terms: SumTerms,
        cohort: Sequence[str],
        contributions: Mapping[str, bytes],
        answers: Mapping[str, bytes],
    ) -> Decrypted | None:
        return None


def test_member_that_waits_for_an_answer_says_that_none_fit_at_half_of_the_deadline_and_not_before() -> None:
    bed = Bed(sums={"a": NeverFits("a")}, change=lost(*((records.Finish, name) for name in NAMES)))
    bed.withheld = lambda name: {bed.now.answers.get("d", "")} if name == "a" else set()
    bed.play()
    assert (bed.now.phase, bed.said(records.NoFit, "a")) == (Phase.FINISHING, [])
    member = bed.members["a"]
    assert member.hastens_at == bed.now.since + TERMS.deadline / 2
    (told,) = records_of(member.hasten())
    assert told == records.NoFit(5, "a", tuple(one for one in bed.now.answers if one != "d"))
    assert (member.hasten(), member.hastens_at) == ([], float("inf"))


def test_model_of_one_s_own_is_said_again_to_a_round_that_has_not_heard_it() -> None:
    """A record that was lost is handed in with the next phase; nothing is decrypted anew for it."""
    bed = Bed(change=lost(*((records.Finish, name) for name in NAMES)))
    bed.play()
    assert bed.now.phase is Phase.FINISHING
    count = len(bed.advanced)
    told = records_of(bed.members["a"].follow(bed.now, None))
    assert told == [records.Finish(5, "a", blob_name(MODEL), THEN)]
    assert len(bed.advanced) == count


def test_round_that_sums_nothing_goes_on_by_what_is_public() -> None:
    bed = Bed(begin=BeginRound(5, "skip", "model-0", NAMES, 0, 0)).play()
    assert bed.now.phase is Phase.FINAL
    assert [(effect.total, effect.turnout) for effect in bed.advanced] == [(None, (4, 0))] * len(bed.advanced)
    assert not any(isinstance(one, records.Answer | records.Attest) for one in bed.ordered)


def test_vote_is_what_was_judged_and_only_while_votes_are_taken() -> None:
    bed = Bed(change=lost(*((records.ModelVote, name) for name in NAMES))).play()
    assert bed.now.phase is Phase.VOTING
    member = bed.members["a"]
    assert member.follow(bed.now, None) == [Judge(5, "model-0", blob_name(MODEL))]
    for accept in (True, False):
        assert records_of(member.step(Judged(5, accept))) == [records.ModelVote(5, "a", accept)]
    # A model that is found only now is kept, and the round has another.
    assert [type(effect) for effect in member.step(Advanced(5, MODEL, THEN))] == [Store]


def test_holder_that_is_absent_from_a_round_contributes_and_says_nothing_of_others() -> None:
    """Nobody sealed a share to it: it can check, but it holds nothing to answer with."""
    bed = Bed(keys={name: key for name, key in KEYS.items() if name != "d"}).play()
    assert (bed.now.phase, bed.now.cohort) == (Phase.FINAL, NAMES)
    said = {type(one) for one in bed.handed_in if getattr(one, "member", "") == "d"}
    assert {records.Commitment, records.Submit} <= said
    assert not said & {records.Attest, records.Answer}


def test_records_that_are_on_their_way_are_not_handed_in_again_whatever_comes() -> None:
    bed = Bed(change=lost((records.Answer, "a"))).play(until=Phase.ANSWERING)
    bed.play()
    answers = [one for one in bed.handed_in if isinstance(one, records.Answer) and one.member == "a"]
    assert len(answers) == 1
    bed = Bed(sums={"a": Complains("a", "d", True)}, change=lost((records.Attest, "a"), (records.Complain, "a")))
    bed.play()
    bed.order(RoundTick(5), time=bed.now.due)
    bed.play()
    assert len([one for one in bed.handed_in if isinstance(one, records.Complain)]) == 1


def test_sum_is_found_once_while_the_next_model_is_made() -> None:
    bed = Bed(change=lost(*((records.Finish, name) for name in NAMES))).play()
    member = RoundMember("x", PlainSum("x"))
    member.follow(bed.now, None)
    (found,) = member.step(Fetched(5, bed.blobs))
    assert isinstance(found, Advance)
    assert member.step(Fetched(5, bed.blobs)) == []


def test_dealing_is_examined_once_however_its_blobs_come() -> None:
    class Counts(PlainSum):
        examined: list[str] = []  # noqa: RUF012 - of one test

        def examine(
            self, terms: SumTerms, beacon: bytes, dealer: str, contribution: bytes, response: bytes
        ) -> DealingVerdict:
            self.examined.append(dealer)
            return super().examine(terms, beacon, dealer, contribution, response)

    sums = Counts("a")
    Bed(sums={"a": sums}).play()
    assert sorted(sums.examined) == list(NAMES)


def test_member_that_has_nothing_to_say_at_half_of_the_deadline_is_not_asked_again() -> None:
    """Otherwise its node would ask it without end until the phase is over."""
    bed = Bed(change=lost(*((records.Finish, name) for name in NAMES)))
    bed.withheld = lambda name: {bed.now.answers.get(one, "") for one in "cd"} if name == "a" else set()
    bed.play()
    assert bed.now.phase is Phase.FINISHING
    member = bed.members["a"]
    assert member.hastens_at < float("inf")
    assert member.hasten() == []
    assert member.hastens_at == float("inf")
