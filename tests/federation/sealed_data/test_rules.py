"""The rules of sealed data sets: what is refused, who may withdraw, what goes with a member."""

import pytest

from medward.federation.application import (
    REFUSED,
    STRANGER,
    UNREADABLE,
    FederationApplication,
    decode_state,
    encode_state,
)
from medward.federation.records import Change, DataKey, SealedData, Withdraw
from medward.federation.sealed_data.rules import MOST_SETS
from medward.ledger.encoding import encode
from medward.store.cid import Cid
from tests.federation.ledger import AGREEMENT, Ledger

SCHEMA = b"s" * 32


def name(content: str) -> str:
    return str(Cid.of(content.encode()))


def sealed(content: str, *readers: str, schema: bytes = SCHEMA, rows: int = 7) -> SealedData:
    return SealedData(name(content), schema, rows, readers)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(FederationApplication(AGREEMENT))


def test_data_set_is_on_record_with_its_owner_schema_rows_readers_and_time(ledger: Ledger) -> None:
    assert ledger.codes(("a", sealed("one", "a", "c")), ("b", sealed("two", "b", schema=b"", rows=0)), time=5.0) == [
        0,
        0,
    ]
    sets = ledger.application.federation.data.sets
    assert set(sets) == {name("one"), name("two")}
    one = sets[name("one")]
    assert (one.member, one.schema, one.rows, one.readers, one.time) == ("a", SCHEMA, 7, ("a", "c"), 5.0)


def test_strangers_and_duplicates_are_refused_and_change_nothing(ledger: Ledger) -> None:
    assert ledger.codes(("x", sealed("one", "x")), ("a", sealed("one", "a"))) == [STRANGER, 0]
    before = ledger.application.federation
    assert ledger.codes(("a", sealed("one", "a")), ("b", sealed("one", "b", rows=8))) == [REFUSED, REFUSED]
    assert ledger.application.federation == before


@pytest.mark.parametrize(
    "record",
    [
        sealed("one", "b"),
        sealed("one", "a", "x"),
        sealed("one", "a", "a"),
        sealed("one", "a", schema=b"short"),
        SealedData("no CID", SCHEMA, 1, ("a",)),
        SealedData(Cid.of(b"one").key, SCHEMA, 1, ("a",)),
        DataKey("no CID"),
        Withdraw(name("nothing")),
    ],
)
def test_what_says_nothing_true_is_refused(ledger: Ledger, record: SealedData | DataKey | Withdraw) -> None:
    assert ledger.codes(("a", record)) == [REFUSED]


@pytest.mark.parametrize(
    "fields", [["a" * 200, SCHEMA, 1, ["a"]], [name("1"), b"x" * 33, 1, ["a"]], [name("1"), SCHEMA, 1, []]]
)
def test_what_is_no_record_is_unreadable(ledger: Ledger, fields: list[object]) -> None:
    assert ledger.codes(("a", encode(["data", *fields]))) == [UNREADABLE]


def test_only_the_owner_withdraws_and_may_then_seal_anew(ledger: Ledger) -> None:
    withdrawal = Withdraw(name("one"))
    said = ("a", sealed("one", "a")), ("b", withdrawal), ("a", withdrawal), ("a", withdrawal), ("a", sealed("one", "a"))
    assert ledger.codes(*said) == [0, REFUSED, 0, REFUSED, 0]


def test_one_member_cannot_fill_the_state(ledger: Ledger) -> None:
    codes = ledger.codes(*(("a", sealed(str(number), "a")) for number in range(MOST_SETS + 1)))
    assert codes == [0] * MOST_SETS + [REFUSED]
    assert ledger.codes(("b", sealed("b", "b"))) == [0]


def test_key_is_named_once_and_can_be_changed(ledger: Ledger) -> None:
    first, second = DataKey(name("key 1")), DataKey(name("key 2"))
    assert ledger.codes(("a", first), ("a", first), ("a", second), ("b", second)) == [0, REFUSED, 0, 0]
    assert ledger.application.federation.data.keys == {"a": name("key 2"), "b": name("key 2")}


def test_member_that_goes_takes_its_data_and_its_key_along(ledger: Ledger) -> None:
    ledger.order(("a", sealed("one", "a", "b")), ("b", sealed("two", "b")), ("b", DataKey(name("key"))))
    ledger.order(("b", Change("b", None, None)))
    data = ledger.application.federation.data
    assert set(data.sets) == {name("one")}
    assert data.keys == {}


def test_state_with_data_sets_comes_back_from_its_encoding(ledger: Ledger) -> None:
    ledger.order(("a", sealed("one", "a", "b")), ("b", DataKey(name("key"))))
    state = ledger.application.federation
    assert decode_state(encode_state(state)) == state
    other = FederationApplication(AGREEMENT)
    snapshot = ledger.application.snapshot()
    assert other.restore(snapshot.encode()) == snapshot.app_hash
    assert other.federation.data == state.data
