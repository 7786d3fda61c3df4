import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.ledger.bank import Bank, Deposit
from medward.ledger.encoding import encode
from medward.ledger.errors import SnapshotMismatch
from medward.ledger.execution import NONCE_WINDOW, REPLAYED, Execution, transactions_root
from medward.ledger.merkle import MerkleMap
from medward.ledger.transactions import sign_transaction
from tests.bombs import crowd_of_lists, most_memory_of
from tests.ledger.simulator.signing import Secrets

CLIENT = Secrets().signer("client")


def deposit(nonce, amount=1):
    return sign_transaction(b"c" * 32, CLIENT, nonce, encode(Deposit("a", amount)))


@given(st.lists(st.integers(1, 200), max_size=120))
def test_a_nonce_is_applied_at_most_once_and_the_recent_ones_in_any_order(nonces):
    execution, applied = Execution(Bank(), 0), set()
    for nonce in nonces:
        (result,) = execution.execute(1, [deposit(nonce)]).results
        high = max(applied, default=0)
        fresh = nonce not in applied and nonce + NONCE_WINDOW > high
        assert (result.code == 0) == fresh
        assert fresh or result.code == REPLAYED
        if fresh:
            applied.add(nonce)
    assert int.from_bytes(execution.application.query("a") or b"", "big") == len(applied)


@given(st.lists(st.integers(0, 50), max_size=20))
def test_time_never_goes_back(times):
    execution, last = Execution(Bank(), 7), 7
    for nonce, time in enumerate(times, 1):
        last = max(last, time)
        assert execution.execute(time, [deposit(nonce)]).summary.time == last


def test_a_block_without_new_transactions_changes_nothing_but_the_height():
    execution = Execution(Bank(), 7)
    execution.execute(9, [deposit(1)])
    before = execution.summary
    for transactions in ([], [deposit(1)]):
        after = execution.execute(99, transactions).summary
        assert (after.time, after.root) == (before.time, before.root)
    assert after.height == before.height + 2


@given(st.lists(st.integers(1, 100), max_size=60), st.integers(1, 100))
def test_a_restored_state_goes_on_like_the_one_it_came_from(nonces, following):
    one, other = Execution(Bank(), 0), Execution(Bank(), 0)
    for nonce in nonces:
        one.execute(nonce, [deposit(nonce)])
    other.restore(one.snapshot().encode(), one.summary.digest())
    assert other.snapshot().encode() == one.snapshot().encode()
    assert [other.reply(CLIENT.public_keys[0].data, n) for n in nonces] == [
        one.reply(CLIENT.public_keys[0].data, n) for n in nonces
    ]
    assert one.execute(9, [deposit(following)]) == other.execute(9, [deposit(following)])


@given(st.data())
def test_a_changed_snapshot_is_refused(data):
    execution = Execution(Bank(), 0)
    execution.execute(1, [deposit(1), deposit(2)])
    snapshot = bytearray(execution.snapshot().encode())
    bit = data.draw(st.integers(0, len(snapshot) * 8 - 1))
    snapshot[bit // 8] ^= 1 << bit % 8
    fresh = Execution(Bank(), 0)
    # The receipts are covered by the checkpoint's digest of the whole snapshot, not by the state's own.
    try:
        fresh.restore(bytes(snapshot), execution.summary.digest())
    except SnapshotMismatch:
        return
    assert fresh.summary == execution.summary


def test_roots_are_worked_out_when_somebody_asks_and_for_each_block_alone(monkeypatch):
    asked = []
    root = MerkleMap.root
    monkeypatch.setattr(MerkleMap, "root", property(lambda tree: asked.append(tree) or root.__get__(tree)))
    late, prompt = Execution(Bank(), 0), Execution(Bank(), 0)
    executed = [late.execute(nonce, [deposit(nonce)]) for nonce in range(1, 9)]
    assert asked == []
    expected = [prompt.execute(nonce, [deposit(nonce)]).summary for nonce in range(1, 9)]
    assert [block.summary for block in reversed(executed)] == expected[::-1]
    assert late.summary == expected[-1]
    assert len({summary.app_hash for summary in expected}) == len(expected)


def test_the_root_of_transactions_depends_on_each_and_on_their_order():
    batches = [[], [b"a"], [b"b"], [b"a", b"b"], [b"b", b"a"], [b"a", b"b", b"c"], [b"a", b"b", b"c", b"c"]]
    assert len({transactions_root(batch) for batch in batches}) == len(batches)


def test_a_foreign_snapshot_is_refused():
    with pytest.raises(SnapshotMismatch):
        Execution(Bank(), 0).restore(b"\x80", bytes(32))


def test_a_snapshot_that_decodes_to_much_more_is_refused_before_it_does():
    crowd = b"\x84" + crowd_of_lists() * 4

    def restored():
        with pytest.raises(SnapshotMismatch, match="does not decode"):
            Execution(Bank(), 0).restore(crowd, bytes(32))

    assert most_memory_of(restored) < 24 * len(crowd)
