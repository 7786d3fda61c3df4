"""The messages of ABCI: what an engine may say is read or refused, and what is answered comes back."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.ledger.cometbft.abci_messages import REQUEST, RESPONSE
from medward.ledger.cometbft.protobuf import Table, decode, encode
from medward.ledger.errors import NotCanonical

_SCALARS = {"int": st.integers(0, 2**40), "bytes": st.binary(max_size=8), "text": st.text(max_size=8)}


def values_of(form: Table) -> st.SearchStrategy[dict[str, object]]:
    fields = {}
    for field in form.fields:
        one = values_of(field.kind) if isinstance(field.kind, Table) else _SCALARS[field.kind]
        fields[field.name] = st.lists(one, max_size=2) if field.repeated else one
    return st.fixed_dictionaries(fields)


def messages_of(form: Table) -> st.SearchStrategy[dict[str, object]]:
    """Messages of which one member is set, as ABCI sends them."""
    members = [
        st.fixed_dictionaries({field.name: values_of(field.kind)})
        for field in form.fields
        if isinstance(field.kind, Table)
    ]
    return st.one_of(members)


@pytest.mark.parametrize("form", [REQUEST, RESPONSE], ids=["request", "response"])
def test_members_have_numbers_of_their_own(form: Table) -> None:
    numbers = [field.number for field in form.fields]
    assert len(set(numbers)) == len(numbers)
    # A response's number is its request's, or one more from init_chain's on, which an exception made room for.
    for field in form.fields:
        for inner in field.kind.fields if isinstance(field.kind, Table) else ():
            assert inner.number > 0


@given(messages_of(REQUEST))
def test_requests_come_back(message: dict[str, object]) -> None:
    found = {name: value for name, value in decode(REQUEST, encode(REQUEST, message)).items() if value is not None}
    assert found == message


@given(messages_of(RESPONSE))
def test_responses_come_back(message: dict[str, object]) -> None:
    found = {name: value for name, value in decode(RESPONSE, encode(RESPONSE, message)).items() if value is not None}
    assert found == message


@given(st.binary(max_size=80))
def test_bytes_are_a_request_or_refused(data: bytes) -> None:
    with contextlib.suppress(NotCanonical):
        decode(REQUEST, data)


def test_every_request_but_an_exception_has_its_response() -> None:
    asked, answered = ({field.name for field in form.fields} for form in (REQUEST, RESPONSE))
    assert answered - asked == {"exception"}
    assert asked <= answered
