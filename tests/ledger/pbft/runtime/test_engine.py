"""A replica with a real socket and a real disk: where it waits for the disk, and what it does about a bad one."""

import asyncio
import threading
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from medward.ledger.bank import Bank, Deposit
from medward.ledger.encoding import encode
from medward.ledger.errors import JournalError, LedgerError, TransactionRefused
from medward.ledger.membership import ChainParameters, Genesis
from medward.ledger.pbft.client_protocol import GetStatus
from medward.ledger.pbft.effects import SendBlocks
from medward.ledger.pbft.runtime.engine import NodeSettings, PbftEngine, open_journal, prepare_folder
from medward.ledger.signatures import MemberSigner
from medward.ledger.transactions import sign_transaction
from tests.ledger.alone import deposit, ledger_of_one
from tests.ledger.test_damaged_blocks import OLD, flip_certificate

FEW = 12


async def flushing_threads(folder, seconds):
    """Submit to a ledger of one whose disk takes `seconds`, or what it takes where None; return who waited for it."""
    engine = ledger_of_one(folder)
    flush, threads = engine._journal.flush, []

    def watched():
        threads.append(threading.get_ident())
        flush()
        if seconds is not None:
            # What is left of the time that this disk is to take.
            time.sleep(seconds)

    engine._journal.flush = watched
    if seconds is None:
        # Whatever this machine's disk takes counts as quick.
        engine._flush_seconds = 0.0
    await engine.start()
    try:
        await deposit(engine, FEW)
    finally:
        await engine.stop()
    return threads


def test_a_slow_disk_is_waited_for_in_a_thread_of_its_own(tmp_path):
    threads = asyncio.run(flushing_threads(tmp_path, 0.02))
    assert len(threads) >= FEW
    assert threading.get_ident() not in threads


def test_a_quick_disk_is_waited_for_on_the_spot(tmp_path):
    threads = asyncio.run(flushing_threads(tmp_path, None))
    assert threads[0] == threading.get_ident()


def test_node_without_others_goes_on_without_its_damaged_block(tmp_path):
    async def story():
        told = []
        engine = ledger_of_one(tmp_path, told=told.append)
        await engine.start()
        try:
            await deposit(engine, 5)
            flip_certificate(engine._journal._database)
            engine._send_stored(SendBlocks("h01", OLD, OLD))
            assert engine.certified(OLD) is None
            assert engine.certified(OLD) is None
            assert engine.damaged_blocks == [OLD]
            with pytest.raises(LedgerError, match=f"block {OLD} does not read back, and there is nobody to ask"):
                await anext(engine.blocks(OLD))
            await deposit(engine, 5)
            assert engine.failure is None
        finally:
            await engine.stop()
        [sentence] = told
        assert sentence.startswith(f"block {OLD} does not read back (")
        assert sentence.endswith("the other members are asked for it")

    asyncio.run(story())


@pytest.fixture
def settings(tmp_path):
    """A member whose keys were just made, and who never voted."""
    member = prepare_folder(tmp_path).member("h00", 0, "127.0.0.1:1")
    return NodeSettings("h00", Genesis("alone", 0, ChainParameters(), (member,)), tmp_path, "127.0.0.1:1")


def test_keys_that_may_have_voted_are_refused_without_their_journal(settings):
    PbftEngine(settings, Bank())._journal.close()
    for path in (settings.folder / "journal").iterdir():
        path.unlink()
    with pytest.raises(JournalError, match="rejoin as a new incarnation"):
        PbftEngine(settings, Bank())
    assert not (settings.folder / "journal" / "journal.sqlite").exists()


def test_journal_is_made_once_also_where_the_first_start_was_cut_short(settings):
    engine = PbftEngine(settings, Bank())
    engine._journal.close()
    database = settings.folder / "journal" / "journal.sqlite"
    made = database.read_bytes()
    # The process ended after the journal was made, and before the folder stopped saying that it is new.
    (settings.folder / "fresh").touch()
    open_journal(settings, engine._identity).close()
    assert database.read_bytes() == made
    assert not (settings.folder / "fresh").exists()


async def among(folder, story, **options):
    """Run a ledger of one, and what a test does with it."""
    engine = ledger_of_one(folder, **options)
    await engine.start()
    try:
        async with asyncio.timeout(20):
            await story(engine)
    finally:
        await engine.stop()


def signed(engine, nonce, payload):
    return sign_transaction(engine.replica._state.chain, MemberSigner(Ed25519PrivateKey.generate()), nonce, payload)


def test_who_submits_gets_a_receipt_or_the_rules_own_reason_and_blocks_are_shown_as_they_come(tmp_path):
    async def story(engine):
        coming = asyncio.ensure_future(anext(engine.blocks(1)))
        await asyncio.sleep(0)
        assert not coming.done()
        good = signed(engine, 1, encode(Deposit("a", 7)))
        receipt = await engine.submit(good)
        assert (await coming).transactions == (good,)
        assert int.from_bytes(await engine.query("a"), "big") == 7
        # It is answered again, and applied once.
        assert await engine.submit(good) == receipt
        with pytest.raises(TransactionRefused, match="does not take transaction 3: the rules refuse it") as refused:
            await engine.submit(signed(engine, 3, b"no order"))
        assert refused.value.code > 0
        assert int.from_bytes(await engine.query("a"), "big") == 7
        assert engine.certified(engine.height + 1) is None
        assert not engine.damaged_blocks

    asyncio.run(among(tmp_path, story))


def test_replica_whose_disk_fails_is_silent_from_there_on_and_says_why(tmp_path):
    async def story(engine):
        await deposit(engine, 1)

        def fail(*_):
            raise JournalError("the disk is full")

        engine._journal.write = fail
        waiting = asyncio.ensure_future(engine.submit(signed(engine, 1, encode(Deposit("a", 1)))))
        while engine.failure is None:
            await asyncio.sleep(0.005)
        assert str(engine.failure) == "the disk is full"
        await asyncio.sleep(0.02)
        assert not waiting.done()
        assert engine._answer(GetStatus()).halted == "the disk is full"
        waiting.cancel()

    asyncio.run(among(tmp_path, story))


def test_only_the_present_members_certificates_are_a_replica_s_and_no_stranger_s(tmp_path):
    names = ("h00", "h01")
    members = tuple(prepare_folder(tmp_path / name).member(name, 0, "127.0.0.1:1") for name in names)
    genesis = Genesis("two", 0, ChainParameters(), members)
    stranger = prepare_folder(tmp_path / "stranger").member("h01", 0, "127.0.0.1:1")

    async def story():
        engine = PbftEngine(NodeSettings("h00", genesis, tmp_path / "h00", "127.0.0.1:1"), Bank())
        engine._refresh_peers()
        assert engine._who(members[1].certificate) == "h01"
        assert engine._who(stranger.certificate) is None
        # Its own certificate, shown by another, is nobody's.
        assert engine._who(members[0].certificate) is None
        await engine.stop()

    asyncio.run(story())
