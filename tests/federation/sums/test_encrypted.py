"""`EncryptedSum`: the contract of a secure sum, over a member's journal and restarts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medward.federation.sums.encrypted import EncryptedSum
from medward.federation.sums.interface import DealingVerdict, SumRefused, WrongSum
from medward.federation.sums.journal import AnswerJournal
from medward.fhe import reconstruction
from medward.fhe.contribution import read_contribution
from tests.federation.sums.ward import AUDIT_BEACON, BEACON, Ward, random_values


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    return Ward(tmp_path)


@pytest.mark.parametrize("members", [2, 3, 4, 7])
@pytest.mark.parametrize("bits", [4, 16])
def test_sum_is_exact_and_every_member_gets_the_same(tmp_path: Path, members: int, bits: int) -> None:
    ward = Ward(tmp_path, members, bits)
    inputs = ward.inputs()
    contributions, responses = ward.contribute(inputs), ward.respond()
    assert {v for row in ward.examine(contributions, responses).values() for v in row.values()} == {DealingVerdict.GOOD}
    answers = ward.answer()
    for name in ward.names:
        found = ward.decrypt(contributions, answers, by=name)
        assert found is not None
        assert np.array_equal(found.total, sum(inputs.values()))
        assert found.wrong == ()


def test_blobs_have_the_promised_size_whoever_makes_them(ward: Ward) -> None:
    contributions, responses = ward.contribute(), ward.respond()
    ward.examine(contributions, responses)
    first, last = ward.names[0], ward.names[-1]
    anybody, terms = ward.parts[first], ward.terms
    for kind, made in (("contribution", contributions), ("response", responses), ("answer", ward.answer())):
        assert {len(blob) for blob in made.values()} == {anybody.expected_bytes(terms, kind, first, ward.names)}
    for holder in (first, last):  # the first ones' shares are seeds
        share = ward.parts[holder].dealt(terms, last, contributions[last])
        assert share is not None
        assert len(share) == anybody.expected_bytes(terms, "share", holder)
        shown = ward.parts[last].show(terms, [holder]) if holder == first else b""
        assert len(shown) in (0, anybody.expected_bytes(terms, "shown", last, [holder]))


def test_sum_over_a_part_of_the_contributors_leaves_the_others_out(tmp_path: Path) -> None:
    ward = Ward(tmp_path, 7)
    inputs = ward.inputs()
    contributions, responses = ward.contribute(inputs), ward.respond()
    ward.examine(contributions, responses)
    cohort = ward.names[1:6]
    answers = ward.answer(cohort, ward.names[:5])
    found = ward.parts["hospital-7"].decrypt(ward.terms, cohort, contributions, answers)
    assert found is not None
    assert np.array_equal(found.total, sum(inputs[name] for name in cohort))


def test_t_answers_are_enough_and_fewer_give_nothing(tmp_path: Path) -> None:
    """M16: nobody waits for the slowest."""
    ward = Ward(tmp_path, 7)
    contributions, responses = ward.contribute(), ward.respond()
    ward.examine(contributions, responses)
    answers = ward.answer(holders=ward.names[2:])
    assert len(answers) == ward.terms.threshold
    found = ward.decrypt(contributions, answers)
    assert found is not None
    assert np.array_equal(found.total, sum(ward.inputs().values()))
    del answers[ward.names[3]]
    assert ward.decrypt(contributions, answers) is None


def test_absent_holder_gets_no_share_and_the_sum_goes_on(tmp_path: Path) -> None:
    """M11: nobody seals to a key that is missing or old; the threshold stays, and its holder still contributes."""
    ward = Ward(tmp_path, 7, absent=frozenset({"hospital-2", "hospital-7"}))
    contributions, responses = ward.contribute(), ward.respond()
    verdicts = ward.examine(contributions, responses, ward.names)
    assert {v for row in verdicts.values() for v in row.values()} == {DealingVerdict.GOOD}
    absent = ward.parts["hospital-2"]
    assert not absent.ready(ward.terms, ward.names)
    with pytest.raises(WrongSum, match="absent"):
        absent.answer(ward.terms, ward.names)
    with pytest.raises(WrongSum, match="absent"):
        ward.parts["hospital-1"].show(ward.terms, ["hospital-2"])
    found = ward.decrypt(contributions, ward.answer(), by="hospital-2")
    assert found is not None
    assert np.array_equal(found.total, sum(ward.inputs().values()))


def test_auditor_checks_and_decrypts_and_shows_nothing(ward: Ward) -> None:
    contributions, responses = ward.contribute(), ward.respond()
    ward.examine(contributions, responses)
    answers = ward.answer()
    auditor = EncryptedSum("auditor", None, b"")
    for name in ward.names:
        verdict = auditor.examine(ward.terms, BEACON, name, contributions[name], responses[name])
        assert verdict is DealingVerdict.GOOD
    found = auditor.decrypt(ward.terms, ward.names, contributions, answers)
    assert found is not None
    assert np.array_equal(found.total, sum(ward.inputs().values()))
    assert not auditor.ready(ward.terms, ward.names)
    assert auditor.contributed(ward.terms) is None
    for call in (
        lambda: auditor.respond(ward.terms, BEACON),
        lambda: auditor.respond_to_audit(ward.terms, BEACON),
        lambda: auditor.show(ward.terms, ward.names[:1]),
        auditor.sealing_key,
    ):
        with pytest.raises(SumRefused, match="no journal"):
            call()


# One of each a round, after a restart too.


def test_everything_shown_is_shown_again_after_a_restart(ward: Ward) -> None:
    """M8: a deterministic function of journaled secrets."""
    name, terms = "hospital-2", ward.terms
    inputs, contributions, responses = ward.inputs(), ward.contribute(), ward.respond()
    ward.examine(contributions, responses)
    answer = ward.parts[name].answer(terms, ward.names)
    shown, audit = ward.parts[name].show(terms, ["hospital-1"]), ward.parts[name].respond_to_audit(terms, AUDIT_BEACON)
    again = ward.part(name)
    assert again.contributed(terms) == contributions[name] == again.contribute(terms, inputs[name])
    assert again.respond(terms, BEACON) == responses[name]
    assert again.ready(terms, ward.names)
    assert again.answer(terms, ward.names) == answer
    assert again.show(terms, ["hospital-1"]) == shown
    assert again.respond_to_audit(terms, AUDIT_BEACON) == audit


def test_restart_between_contribution_and_response_goes_on(ward: Ward) -> None:
    contributions = ward.contribute()
    for name in ward.names:
        ward.parts[name] = ward.part(name)
    responses = ward.respond()
    assert {v for row in ward.examine(contributions, responses).values() for v in row.values()} == {DealingVerdict.GOOD}
    for name in ward.names:
        ward.parts[name] = ward.part(name)
    assert not ward.parts["hospital-1"].ready(ward.terms, ward.names)
    with pytest.raises(SumRefused, match="no checked share"):
        ward.answer()
    ward.examine(contributions, responses)
    assert ward.decrypt(contributions, ward.answer()) is not None


@pytest.mark.parametrize("restart", [False, True])
def test_second_answer_to_another_question_is_refused(ward: Ward, restart: bool) -> None:
    """Two cohorts, beacons, audits, sets of shown shares or contributions of one round would tell a secret."""
    name, terms = "hospital-1", ward.terms
    contributions, responses = ward.contribute(), ward.respond()
    ward.examine(contributions, responses)
    part = ward.parts[name]
    part.answer(terms, ward.names)
    part.show(terms, ["hospital-3"])
    part.respond_to_audit(terms, AUDIT_BEACON)
    if restart:
        part = ward.part(name)
        for dealer in ward.names:
            part.examine(terms, BEACON, dealer, contributions[dealer], responses[dealer])
    assert not part.ready(terms, ward.names[:3])
    for call in (
        lambda: part.answer(terms, ward.names[:3]),
        lambda: part.respond(terms, AUDIT_BEACON),
        lambda: part.respond_to_audit(terms, BEACON),
        lambda: part.show(terms, ["hospital-2"]),
        lambda: part.contribute(terms, random_values(terms, 9)),
        lambda: part.contribute(replace(terms, recent=bytes(32)), ward.inputs()[name]),
        lambda: part.answer(replace(terms, recent=bytes(32)), ward.names),
    ):
        with pytest.raises(SumRefused, match="another question"):
            call()


def test_no_more_shares_are_shown_than_leave_the_rest_secret(tmp_path: Path) -> None:
    """M3: with those of f liars, t - 1."""
    ward = Ward(tmp_path, 7)
    ward.contribute()
    part = ward.parts["hospital-1"]
    assert ward.terms.most_shown == 2
    for holders in ([], ward.names[:3], ward.names):
        with pytest.raises(SumRefused, match="may show 1 to 2"):
            part.show(ward.terms, holders)
    assert part.show(ward.terms, ["hospital-7", "hospital-2"]) == part.show(ward.terms, ["hospital-2", "hospital-7"])


def test_dealer_that_did_not_contribute_has_nothing_to_show(ward: Ward) -> None:
    part = ward.parts["hospital-1"]
    for call in (
        lambda: part.respond(ward.terms, BEACON),
        lambda: part.respond_to_audit(ward.terms, BEACON),
        lambda: part.show(ward.terms, ["hospital-2"]),
    ):
        with pytest.raises(SumRefused, match="did not contribute"):
            call()


def test_rounds_that_follow_each_other_share_no_randomness_and_old_shares_are_dropped(ward: Ward) -> None:
    inputs = ward.inputs()
    first = ward.contribute(inputs)
    ward.examine(first, ward.respond())
    before = ward.terms
    ward.terms = ward.begin(2)
    second = ward.contribute(inputs)
    assert all(first[name] != second[name] for name in ward.names)
    ward.examine(second, ward.respond())
    found = ward.decrypt(second, ward.answer())
    assert found is not None
    assert np.array_equal(found.total, sum(inputs.values()))
    assert not ward.parts["hospital-1"].ready(before, ward.names)


# Shares and verdicts.


def _spoil_box(ward: Ward, contribution: bytes, holder: int) -> bytes:
    """Return the contribution with one byte of a holder's box changed."""
    box = bytes(read_contribution(ward.parts[ward.names[0]]._sum(ward.terms).context, contribution).boxes[holder])
    at = contribution.index(box) + len(box) - 1
    return contribution[:at] + bytes([contribution[at] ^ 1]) + contribution[at + 1 :]


def test_box_that_does_not_open_makes_a_complaint_which_a_show_settles(ward: Ward) -> None:
    contributions, responses = ward.contribute(), ward.respond()
    contributions["hospital-4"] = _spoil_box(ward, contributions["hospital-4"], 2)
    verdicts = ward.examine(contributions, responses)
    complaints = {(h, d) for h, row in verdicts.items() for d, v in row.items() if v is DealingVerdict.COMPLAINT}
    assert complaints == {("hospital-2", "hospital-4")}
    part = ward.parts["hospital-2"]
    assert part.dealt(ward.terms, "hospital-4", contributions["hospital-4"]) is None
    assert not part.ready(ward.terms, ward.names)
    with pytest.raises(SumRefused, match="no checked share of hospital-4"):
        part.answer(ward.terms, ward.names)
    shown = ward.parts["hospital-4"].show(ward.terms, ["hospital-2"])
    for name in ward.names:
        assert ward.parts[name].examine_shown(
            ward.terms,
            BEACON,
            "hospital-4",
            ["hospital-2"],
            contributions["hospital-4"],
            responses["hospital-4"],
            shown,
        )
    found = ward.decrypt(contributions, ward.answer())
    assert found is not None
    assert np.array_equal(found.total, sum(ward.inputs().values()))


def test_share_whose_digest_is_another_makes_a_complaint(ward: Ward) -> None:
    """A good share that is not the one published could never convict its dealer, nor be shown."""
    contributions, responses = ward.contribute(), ward.respond()
    content = contributions["hospital-4"]
    state = ward.parts["hospital-4"]._sum(ward.terms)
    digest = read_contribution(state.context, content).digests[2]
    contributions["hospital-4"] = content.replace(digest, bytes([digest[0] ^ 1]) + digest[1:])
    verdicts = ward.examine(contributions, responses)
    assert {(h, d) for h, row in verdicts.items() for d, v in row.items() if v is not DealingVerdict.GOOD} == {
        ("hospital-2", "hospital-4")
    }
    assert verdicts["hospital-2"]["hospital-4"] is DealingVerdict.COMPLAINT


def test_right_show_of_too_many_is_not_good(tmp_path: Path) -> None:
    """Threat M3: a liar that shows more of its shares than may be shown finds nobody who takes them."""
    ward = Ward(tmp_path, 7)
    contributions, responses = ward.contribute(), ward.respond()
    part = ward.parts["hospital-1"]
    current = part._sum(ward.terms)
    for count, good in ((ward.terms.most_shown, True), (ward.terms.most_shown + 1, False)):
        holders = ward.names[1 : 1 + count]
        shown = part._dealing(current).show([current.holder(name) for name in holders])
        about = (ward.terms, BEACON, "hospital-1", holders, contributions["hospital-1"], responses["hospital-1"])
        assert ward.parts["hospital-7"].examine_shown(*about, shown) is good


def test_show_of_other_holders_or_of_another_dealer_or_of_too_many_is_not_good(tmp_path: Path) -> None:
    ward = Ward(tmp_path, 7)
    contributions, responses = ward.contribute(), ward.respond()
    shown = ward.parts["hospital-1"].show(ward.terms, ["hospital-3", "hospital-6"])

    def good(dealer: str, holders: list[str], data: bytes, response: bytes | None = None) -> bool:
        return ward.parts["hospital-5"].examine_shown(
            ward.terms, BEACON, dealer, holders, contributions[dealer], response or responses[dealer], data
        )

    assert good("hospital-1", ["hospital-6", "hospital-3"], shown)
    assert not good("hospital-1", ["hospital-3"], shown)
    assert not good("hospital-1", ["hospital-3", "hospital-7"], shown)
    assert not good("hospital-2", ["hospital-3", "hospital-6"], shown)
    assert not good("hospital-1", ["hospital-3", "hospital-6"], shown[:-1] + b"\0")
    assert not good("hospital-1", ["hospital-3", "hospital-6"], b"")
    assert not good("hospital-1", ["hospital-3", "hospital-6"], shown, responses["hospital-2"])


def test_malformed_contribution_or_response_is_the_dealer_s_fault_for_everybody(ward: Ward) -> None:
    contributions, responses = ward.contribute(), ward.respond()
    good, response = contributions["hospital-1"], responses["hospital-1"]
    changed = bytearray(good)
    changed[24:74] = b"\xff" * 50
    for bad, told in (
        (b"", response),
        (good[:-1], response),
        (bytes(changed), response),
        (good, response[:-1]),
        (good, b""),
        (good, responses["hospital-2"]),
        (contributions["hospital-2"], response),
    ):
        for name in ward.names:
            verdict = ward.parts[name].examine(ward.terms, BEACON, "hospital-1", bad, told)
            assert verdict is DealingVerdict.AT_FAULT
    assert not ward.parts["hospital-2"].ready(ward.terms, ["hospital-1"])


def test_share_checked_under_another_beacon_is_dropped(ward: Ward) -> None:
    contributions, responses = ward.contribute(), ward.respond()
    ward.examine(contributions, responses)
    part = ward.parts["hospital-2"]
    assert part.ready(ward.terms, ward.names)
    verdict = part.examine(ward.terms, b"other", "hospital-1", contributions["hospital-1"], responses["hospital-1"])
    assert verdict is DealingVerdict.AT_FAULT
    assert not part.ready(ward.terms, ["hospital-3"])


def test_holder_that_lost_its_sealing_key_judges_nobody(ward: Ward) -> None:
    contributions, responses = ward.contribute(), ward.respond()
    part = ward.parts["hospital-2"]
    part.keep_sealing_keys([])
    with pytest.raises(SumRefused, match="no secret of its sealing key"):
        part.examine(ward.terms, BEACON, "hospital-1", contributions["hospital-1"], responses["hospital-1"])


def test_sealing_keys_are_drawn_anew_and_kept_over_restarts_until_erased(ward: Ward) -> None:
    part = ward.parts["hospital-1"]
    first, second = ward.terms.sealing_keys[0], part.sealing_key()
    assert first != second
    assert set(ward.journals["hospital-1"].sealing_keys()) == {first, second}
    ward.part("hospital-1").keep_sealing_keys([second])
    assert set(ward.journals["hospital-1"].sealing_keys()) == {second}


# Wrong answers, the audit, late complaints.


def _false(ward: Ward, answer: bytes, by: int = 1) -> bytes:
    context = ward.parts[ward.names[0]]._sum(ward.terms).context
    vector = reconstruction.read_answer(context, answer)
    vector[3] += by
    return reconstruction.answer(context, [vector])


def test_wrong_answer_is_named_and_malformed_ones_are_passed_over(ward: Ward) -> None:
    contributions, responses = ward.contribute(), ward.respond()
    ward.examine(contributions, responses)
    answers = ward.answer()
    answers["hospital-1"] = _false(ward, answers["hospital-1"])
    found = ward.decrypt(contributions, answers)
    assert found is not None
    assert np.array_equal(found.total, sum(ward.inputs().values()))
    assert found.wrong == ("hospital-1",)
    answers["hospital-1"] = b"nothing"
    answers["stranger"] = answers["hospital-2"]
    assert ward.decrypt(contributions, answers) is not None


def test_two_wrong_answers_of_four_void_the_sum_and_the_audit_tells_who(ward: Ward) -> None:
    contributions, responses = ward.contribute(), ward.respond()
    ward.examine(contributions, responses)
    answers = ward.answer()
    for by, name in enumerate(ward.names[:2], 1):
        answers[name] = _false(ward, answers[name], 10**9 * by**3)
    assert ward.decrypt(contributions, answers) is None
    told = {name: ward.parts[name].respond_to_audit(ward.terms, AUDIT_BEACON) for name in ward.names}
    for name in ward.names:
        assert ward.parts[name].audit(ward.terms, AUDIT_BEACON, ward.names, told, answers) == ward.names[2:]


def test_dealer_that_lies_in_the_audit_is_convicted_by_a_late_complaint(ward: Ward) -> None:
    contributions, responses = ward.contribute(), ward.respond()
    ward.examine(contributions, responses)
    told = {name: ward.parts[name].respond_to_audit(ward.terms, AUDIT_BEACON) for name in ward.names}
    other = ward.parts["hospital-3"]._sum(ward.terms).dealing
    assert other is not None
    rows = other._context.audit_rows(b"other rows")
    told["hospital-3"] = other.respond_to_audit(rows)
    auditor = EncryptedSum("auditor", None, b"")
    for holder in ward.names:
        for dealer in ward.names:
            lied = dealer == "hospital-3"
            part, response = ward.parts[holder], told[dealer]
            assert part.contradicts(ward.terms, AUDIT_BEACON, dealer, response) is lied
            share = part.dealt(ward.terms, dealer, contributions[dealer])
            assert share is not None
            arguments = (ward.terms, BEACON, dealer, holder, contributions[dealer], responses[dealer])
            assert auditor.convicts(*arguments, share, (AUDIT_BEACON, response)) is lied
            assert not auditor.convicts(*arguments, share)
            assert not auditor.convicts(*arguments, share[:-1] + bytes([share[-1] ^ 1]), (AUDIT_BEACON, response))
    share = ward.parts["hospital-1"].dealt(ward.terms, "hospital-2", contributions["hospital-2"])
    assert share is not None
    arguments = (ward.terms, BEACON, "hospital-2", "hospital-1", contributions["hospital-2"], responses["hospital-2"])
    for audit in ((AUDIT_BEACON, b""), (AUDIT_BEACON, told["hospital-2"] + b"\0")):
        assert auditor.convicts(*arguments, share, audit)
    told["hospital-2"] = b""
    with pytest.raises(WrongSum, match="hospital-2"):
        auditor.audit(ward.terms, AUDIT_BEACON, ward.names, told, ward.answer())


# What cannot be.


def test_numbers_that_do_not_fit_are_refused_and_leave_no_trace(ward: Ward) -> None:
    part, terms = ward.parts["hospital-1"], ward.terms
    good = ward.inputs()["hospital-1"]
    for place, value in ((0, -1), (0, 1 << 30), (2, 128), (2, -128)):
        wrong = good.copy()
        wrong[place] = value
        with pytest.raises(WrongSum, match="outside"):
            part.contribute(terms, wrong)
    with pytest.raises(WrongSum, match="502 numbers"):
        part.contribute(terms, good[1:])
    assert part.contributed(terms) is None
    part.contribute(terms, good)


def test_strangers_and_impossible_terms_are_refused_in_one_sentence(ward: Ward) -> None:
    part, terms = ward.parts["hospital-1"], ward.terms
    with pytest.raises(WrongSum, match="stranger does not contribute"):
        part.examine(terms, BEACON, "stranger", b"", b"")
    for cohort in ([], ["hospital-1", "hospital-1"], ["stranger"]):
        with pytest.raises(WrongSum):
            part.answer(terms, cohort)
    with pytest.raises(SumRefused, match="no complaint could be settled"):
        part.expected_bytes(replace(terms, threshold=2), "contribution", terms.contributors[0])
    with pytest.raises(SumRefused, match="not possible"):
        part.expected_bytes(replace(terms, bits=5), "contribution", terms.contributors[0])


def test_bad_sealing_key_among_the_terms_is_said_and_nothing_is_stored(ward: Ward) -> None:
    bad = replace(ward.terms, sealing_keys=(bytes(1216), *ward.terms.sealing_keys[1:]))
    with pytest.raises(WrongSum, match="sealing key"):
        ward.parts["hospital-1"].contribute(bad, ward.inputs()["hospital-1"])
    assert ward.parts["hospital-1"].contributed(bad) is None


def test_clone_of_a_member_repeats_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """M9: the same secret, the same system randomness, a copy of the journal, other values: all is other."""
    ward = Ward(tmp_path)
    monkeypatch.setattr("medward.fhe.sampling.os.urandom", bytes)
    dealings = []
    for seed in (1, 2):
        clone = EncryptedSum("hospital-1", AnswerJournal(tmp_path / f"clone-{seed}.sqlite"), b"secret")
        clone.contribute(ward.terms, random_values(ward.terms, seed))
        dealings.append(clone._sum(ward.terms).dealing)
    one, other = dealings
    assert one is not None
    assert other is not None
    assert not np.array_equal(one.secrets.secret, other.secrets.secret)
    for drawn in ("seeds", "salts", "coins"):
        assert not set(getattr(one.secrets, drawn)) & set(getattr(other.secrets, drawn))
