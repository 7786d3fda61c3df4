"""Handing in transactions: numbers, the window, patience."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from medward.ledger.errors import LedgerError, TransactionRefused
from medward.ledger.execution import NONCE_WINDOW, REPLAYED
from medward.ledger.pbft.replica.requests import BUSY
from medward.ledger.signatures import MemberSigner, MemberVerifier
from medward.ledger.transactions import verify_transaction
from medward.ledger.types import Block, Engine, Member, Receipt, Transaction, TxResult
from medward.node.ledger.submitter import Nonces, Submitter

CHAIN = bytes(32)


class Scripted(Engine):
    """An engine that answers as it is told; `Submitter` is what is tested."""

    def __init__(self) -> None:
        self.seen: list[Transaction] = []
        self.answers: list[Receipt | Exception | None] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def submit(self, transaction: Transaction) -> Receipt:
        self.seen.append(transaction)
        answer = self.answers.pop(0) if self.answers else Receipt(1, TxResult(0, b""))
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, Exception):
            raise answer
        await self.gate.wait()
        assert answer is not None
        return answer

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def query(self, path: str) -> bytes | None:
        return None

    def blocks(self, first: int) -> AsyncIterator[Block]:
        raise NotImplementedError

    @property
    def height(self) -> int:
        return 0

    @property
    def members(self) -> Sequence[Member]:
        return ()


def submitter(tmp_path: Path, engine: Engine) -> Submitter:
    signer = MemberSigner(Ed25519PrivateKey.generate())
    return Submitter(engine, CHAIN, signer, Nonces(tmp_path / "nonce"), ask_again=0.05)


def test_numbers_go_up_and_never_repeat_over_restarts_or_when_the_clock_goes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    for clock in (10**18, 10**18, 10**15, 2 * 10**18):
        monkeypatch.setattr("time.time_ns", lambda now=clock: now)
        nonces = Nonces(tmp_path / "nonce")
        taken += [nonces.take() for _ in range(1500)]
    assert taken == sorted(set(taken))
    (tmp_path / "nonce").unlink()  # a lost disk, and a clock that went on
    monkeypatch.setattr("time.time_ns", lambda: 2 * 10**18 + 10**7)
    assert Nonces(tmp_path / "nonce").take() > taken[-1]


def test_a_receipt_comes_back_for_a_transaction_signed_by_this_member(tmp_path: Path) -> None:
    async def story() -> None:
        engine = Scripted()
        assert (await submitter(tmp_path, engine).submit(b"payload")).height == 1
        verify_transaction(CHAIN, MemberVerifier(), engine.seen[0])
        assert engine.seen[0].payload == b"payload"

    asyncio.run(story())


def test_a_busy_ledger_and_a_lost_answer_are_asked_again_with_the_same_transaction(tmp_path: Path) -> None:
    async def story() -> None:
        engine = Scripted()
        engine.answers = [TransactionRefused("busy", BUSY.code), None, TransactionRefused("busy", BUSY.code)]
        await submitter(tmp_path, engine).submit(b"payload")
        assert len(engine.seen) == 4
        assert len(set(engine.seen)) == 1

    asyncio.run(story())


@pytest.mark.parametrize("answer", [TransactionRefused("no", 3), Receipt(7, TxResult(3, b""))])
def test_what_the_rules_refuse_is_refused_with_their_code(tmp_path: Path, answer: Receipt | Exception) -> None:
    async def story() -> None:
        engine = Scripted()
        engine.answers = [answer]
        with pytest.raises(TransactionRefused) as caught:
            await submitter(tmp_path, engine).submit(b"payload")
        assert caught.value.code == 3
        assert len(engine.seen) == 1

    asyncio.run(story())


def test_refusal_says_in_the_words_of_the_rules_why(tmp_path: Path) -> None:
    async def run() -> None:
        engine = Scripted()
        engine.answers = [Receipt(7, TxResult(3, b"There is no member x: look.")), Receipt(8, TxResult(3, b""))]
        handing_in = submitter(tmp_path, engine)
        with pytest.raises(TransactionRefused, match=r"refused it at height 7: There is no member x: look\."):
            await handing_in.submit(b"payload")
        with pytest.raises(TransactionRefused, match="refused it at height 8: code 3"):
            await handing_in.submit(b"payload")

    asyncio.run(run())


def test_a_forgotten_result_is_not_taken_for_a_refusal_by_the_rules(tmp_path: Path) -> None:
    async def story() -> None:
        engine = Scripted()
        engine.answers = [TransactionRefused("used long ago", REPLAYED)]
        with pytest.raises(LedgerError, match="was ordered") as caught:
            await submitter(tmp_path, engine).submit(b"payload")
        assert not isinstance(caught.value, TransactionRefused)

    asyncio.run(story())


def test_no_more_are_under_way_than_the_ledgers_window_holds_however_old_the_oldest(tmp_path: Path) -> None:
    async def story() -> None:
        engine = Scripted()
        engine.answers = [None]
        made = submitter(tmp_path, engine)
        made._ask_again = 60
        stuck = asyncio.create_task(made.submit(b"stuck"))
        while not engine.seen:
            await asyncio.sleep(0)
        others = [asyncio.create_task(made.submit(b"other")) for _ in range(200)]
        await asyncio.sleep(0.5)
        nonces = [transaction.nonce for transaction in engine.seen]
        assert max(nonces) - min(nonces) < NONCE_WINDOW
        done = sum(task.done() for task in others)
        assert 32 < done < NONCE_WINDOW
        stuck.cancel()
        await asyncio.gather(*others)

    asyncio.run(story())
