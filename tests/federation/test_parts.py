"""A federation's state as small parts: what is written from one state to the next makes the next, and no more."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.federation.membership import Members, Wish
from medward.federation.parts import changed_parts, state_of
from medward.federation.records import Attest, Change, Next, Submit
from medward.federation.round.state import AnswerAudit, Round
from medward.federation.rules import Agreement, FederationState, HeldKey, Standing
from tests.federation.round.rounds import NAMES, auditing, begun, voting

ACCOUNTS = {name: name.encode() * 32 for name in NAMES}
FIRST = Next("survey", 3, 0)
AGREEMENT = Agreement("test", NAMES, ACCOUNTS, 10.0, "aggregate", 8, "plan", "model-0", FIRST)
STATE = FederationState(AGREEMENT, Members(NAMES, ACCOUNTS), 0, "model-0", FIRST)

#: Names of members may hold anything but a line's end; those with a slash or a dot must not lead anywhere else.
WHO = st.sampled_from(("a", "b", "head", "a/head", "../head", "round", "", "é"))


def _mapping(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Mapping[str, Any]]:
    return st.dictionaries(WHO, values, max_size=3)


NESTED = st.dictionaries(WHO, st.dictionaries(WHO, st.sampled_from(("x", "y")), min_size=1, max_size=2), max_size=2)
WISH = st.builds(Wish, st.just(Change("z", None, None)), st.floats(0, 9))
WISHES = st.dictionaries(WHO, st.dictionaries(WHO, WISH, min_size=1, max_size=2), max_size=2)
AUDITS = st.builds(AnswerAudit, st.binary(max_size=2), _mapping(st.sampled_from("pq")), _mapping(st.binary(max_size=2)))
ROUNDS: st.SearchStrategy[Round | None] = st.one_of(
    st.none(),
    st.sampled_from((begun(), voting(), auditing())),
    st.builds(
        lambda submissions, verdicts, accusations, audit: replace(
            begun(), submissions=submissions, verdicts=verdicts, accusations=accusations, audit=audit
        ),
        _mapping(st.builds(Submit, st.just(5), WHO, st.just("c"), st.just("r"))),
        _mapping(st.builds(Attest, st.just(5), WHO)),
        NESTED,
        st.one_of(st.none(), AUDITS),
    ),
)
STATES = st.builds(
    lambda number, sealing, standing, contacts, wishes, round_: replace(
        STATE, number=number, sealing=sealing, standing=standing, contacts=contacts, round=round_,
        membership=replace(STATE.membership, wishes=wishes),
    ),
    st.integers(0, 3), _mapping(st.builds(HeldKey, st.binary(max_size=2), st.integers(0, 2))),
    _mapping(st.builds(Standing, st.booleans(), st.integers(0, 2))), _mapping(st.binary(max_size=2)), WISHES, ROUNDS,
)  # fmt: skip


def _parts(state: FederationState) -> dict[bytes, bytes]:
    return {key: value for key, value in changed_parts(None, state).items() if value is not None}


@settings(max_examples=100)
@given(STATES, STATES)
def test_what_changes_from_any_state_to_any_other_makes_the_other(
    before: FederationState, after: FederationState
) -> None:
    kept = _parts(before)
    for key, value in changed_parts(before, after).items():
        if value is None:
            del kept[key]
        else:
            assert kept.get(key) != value
            kept[key] = value
    assert kept == _parts(after)
    assert state_of(kept) == after


def test_state_that_stayed_the_same_writes_nothing() -> None:
    state = replace(STATE, round=voting())
    assert changed_parts(state, state) == {}
    assert changed_parts(state, replace(state, round=voting())) == {}


def test_one_verdict_more_writes_one_part() -> None:
    before = replace(STATE, round=begun())
    after = replace(STATE, round=replace(begun(), verdicts={"a": Attest(5, "a")}))
    assert list(changed_parts(before, after)) == [b"state/round/verdicts/a"]


def test_what_others_keep_in_the_same_place_is_no_part_of_the_state() -> None:
    assert state_of({**_parts(STATE), b"bank/head": b"\xff", b"states/x": b""}) == STATE


@pytest.mark.parametrize("missing", sorted(_parts(STATE)))
def test_state_with_a_part_missing_is_none_or_another(missing: bytes) -> None:
    rest = {key: value for key, value in _parts(replace(STATE, round=voting())).items() if key != missing}
    try:
        found = state_of(rest)
    except msgspec.MsgspecError:
        return
    assert found != replace(STATE, round=voting())


@pytest.mark.parametrize(
    "damage",
    [{}, {b"state/head": b""}, {b"state/head": b"\xc1"}, {b"state/agreement": b"\x90"}, {b"state/sealing/a": b"\x01"}],
)
def test_parts_that_make_no_state_are_refused(damage: dict[bytes, bytes]) -> None:
    with pytest.raises(msgspec.MsgspecError):
        state_of({**_parts(STATE), **damage} if damage else {})


def test_key_that_is_no_text_is_refused() -> None:
    with pytest.raises(UnicodeDecodeError):
        state_of({**_parts(STATE), b"state/\xff": b""})
