"""The bank: money is conserved, and no order of any client, in any sequence, is more than a code."""

from hypothesis import given
from hypothesis import strategies as st

from medward.ledger.bank import (
    LARGEST,
    OVERDRAWN,
    UNREADABLE,
    Balance,
    Bank,
    BankOrder,
    Deposit,
    Note,
    Transfer,
)
from medward.ledger.encoding import encode
from medward.ledger.types import Applied, Block, Transaction

ACCOUNTS = st.sampled_from(["a", "b", "c"])
AMOUNTS = st.one_of(st.integers(0, 9), st.sampled_from([LARGEST - 1, LARGEST, 2**62]))
MONEY = st.one_of(
    st.builds(Deposit, ACCOUNTS, AMOUNTS),
    st.builds(Transfer, ACCOUNTS, ACCOUNTS, AMOUNTS),
    st.builds(Balance, ACCOUNTS),
)
ANYTHING = st.one_of(MONEY, st.builds(Note, ACCOUNTS, st.binary(max_size=12)))


def apply(bank: Bank, *orders: BankOrder | bytes) -> Applied:
    encoded = [order if isinstance(order, bytes) else encode(order) for order in orders]
    return bank.apply(Block(1, 1, tuple(Transaction(bytes(32), n, data, ()) for n, data in enumerate(encoded, 1))))


def balances(bank: Bank) -> list[int]:
    return [int.from_bytes(result.data, "big") for result in apply(bank, *map(Balance, "abc")).results]


@given(st.lists(MONEY, max_size=12))
def test_money_comes_by_deposits_alone_and_never_vanishes(orders: list[BankOrder]) -> None:
    bank = Bank()
    results = apply(bank, *orders).results
    paid = [one.amount for one, told in zip(orders, results, strict=True) if isinstance(one, Deposit) and not told.code]
    assert sum(balances(bank)) == sum(paid)
    assert all(0 <= balance <= LARGEST for balance in balances(bank))


@given(st.lists(st.one_of(ANYTHING, st.binary(max_size=40)), max_size=12), st.data())
def test_whatever_clients_order_has_a_result_and_one_state_however_it_is_cut_into_blocks(
    orders: list[BankOrder | bytes], data: st.DataObject
) -> None:
    whole, cut = Bank(), Bank()
    results = apply(whole, *orders).results
    assert len(results) == len(orders)
    at = data.draw(st.integers(0, len(orders)))
    assert (*apply(cut, *orders[:at]).results, *apply(cut, *orders[at:]).results) == results
    assert cut.snapshot().app_hash == whole.snapshot().app_hash
    taken_over = Bank()
    assert taken_over.restore(whole.snapshot().encode()) == whole.snapshot().app_hash
    assert balances(taken_over) == balances(whole)


def test_note_under_the_name_of_an_account_stops_no_replica() -> None:
    bank = Bank()
    results = apply(
        bank, Deposit("a", 5), Note("a", b"\xff" * 9), Balance("a"), Transfer("b", "a", 0), Deposit("a", 1)
    ).results
    assert [result.code for result in results] == [0] * 5
    assert balances(bank) == [1, 0, 0]


def test_transfer_that_the_target_cannot_hold_moves_nothing() -> None:
    bank = Bank()
    results = apply(bank, Deposit("a", 5), Deposit("b", LARGEST), Transfer("a", "b", 1), Transfer("b", "b", 1)).results
    assert [result.code for result in results] == [0, 0, OVERDRAWN, 0]
    assert balances(bank) == [5, LARGEST, 0]


def test_overdrawn_and_unreadable_orders_change_nothing() -> None:
    bank = Bank()
    apply(bank, Deposit("a", 5))
    before = bank.snapshot().app_hash
    results = apply(bank, Transfer("a", "b", 6), Deposit("a", LARGEST), b"", encode(["deposit", "", 1])).results
    assert [result.code for result in results] == [OVERDRAWN, OVERDRAWN, UNREADABLE, UNREADABLE]
    assert bank.snapshot().app_hash == before
