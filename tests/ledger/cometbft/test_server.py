"""The application as CometBFT calls it: nothing that a proposer, a peer or a client made up changes the state."""

import asyncio
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from medward.ledger import encoding
from medward.ledger.bank import Bank, Deposit
from medward.ledger.cometbft.abci_messages import REQUEST, RESPONSE
from medward.ledger.cometbft.protobuf import decode, encode, varint
from medward.ledger.cometbft.server import CHUNK, MAX_REQUEST, AbciApplication, AbciServer, read_message
from medward.ledger.errors import LedgerError, NotCanonical
from medward.ledger.execution import Execution
from medward.ledger.signatures import MemberSigner, MemberVerifier
from medward.ledger.transactions import encode_transaction, sign_transaction
from tests.admission.world import bound

CHAIN = hashlib.sha256(b"a comet chain").digest()
SIGNER = MemberSigner(Ed25519PrivateKey.from_private_bytes(bytes(32)))
ACCEPT, REJECT = 1, 2
SNAPSHOT_REJECT, RETRY, REJECT_SNAPSHOT = 3, 3, 5
UNSIGNED = 2**31


def deposit(nonce: int = 1, amount: int = 1, chain: bytes = CHAIN) -> bytes:
    payload = encoding.encode(Deposit("a", amount))
    return encode_transaction(sign_transaction(chain, SIGNER, nonce, payload))


def forged() -> bytes:
    good, other = (sign_transaction(CHAIN, SIGNER, 1, encoding.encode(Deposit("a", amount))) for amount in (1, 1000))
    return encode_transaction(replace(other, signatures=good.signatures))


BAD = {
    "none": b"",
    "no transaction": b"\xff" * 40,
    "another chain's": deposit(chain=bytes(32)),
    "forged": forged(),
    "with a byte more": deposit() + b"\x00",
}


@pytest.fixture
def application(tmp_path):
    made = AbciApplication(Bank, CHAIN, MemberVerifier(), folder=tmp_path, snapshot_interval=2)
    made.answer({"init_chain": {"time": {"seconds": 1_700_000_000, "nanos": 0}}})
    return made


def ask(application, kind, **content):
    return application.answer({kind: content})[kind]


def finalize(application, *transactions, height=None):
    height = application.execution.height + 1 if height is None else height
    time = {"seconds": 1_700_000_000 + height, "nanos": 500_000_000}
    return ask(application, "finalize_block", txs=list(transactions), height=height, time=time, hash=b"h" * 32)


def balance(application, account="a"):
    return int.from_bytes(ask(application, "query", path=account)["value"], "big")


@pytest.mark.parametrize("bad", BAD)
def test_what_no_client_signed_is_neither_taken_proposed_nor_applied(application, bad):
    data, good = BAD[bad], deposit()
    assert ask(application, "check_tx", tx=data)["code"] == UNSIGNED
    assert ask(application, "check_tx", tx=good)["code"] == 0
    assert ask(application, "prepare_proposal", txs=[data, good], max_tx_bytes=10**6)["txs"] == [good]
    assert ask(application, "process_proposal", txs=[good, data])["status"] == REJECT
    assert ask(application, "process_proposal", txs=[good])["status"] == ACCEPT
    # More validators lied than may: the block is applied without it, on all nodes alike.
    answered = finalize(application, data, good, data)
    assert [one["code"] for one in answered["tx_results"]] == [UNSIGNED, 0, UNSIGNED]
    assert balance(application) == 1


def test_proposal_keeps_to_its_bytes_and_repeats_nothing(application):
    transactions = [deposit(nonce) for nonce in range(1, 6)]
    room = 2 * (len(transactions[0]) + 8)
    proposed = ask(application, "prepare_proposal", txs=transactions, max_tx_bytes=room)["txs"]
    assert proposed == transactions[:2]
    assert ask(application, "prepare_proposal", txs=transactions, max_tx_bytes=room - 1)["txs"] == transactions[:1]
    twice = [transactions[0], transactions[0], deposit(1, amount=9)]
    assert ask(application, "prepare_proposal", txs=twice, max_tx_bytes=10**6)["txs"] == transactions[:1]
    finalize(application, transactions[0])
    assert ask(application, "prepare_proposal", txs=transactions, max_tx_bytes=10**6)["txs"] == transactions[1:]


def test_transaction_in_two_blocks_is_applied_once(application):
    first = finalize(application, deposit(), deposit())
    # A replay's code is one more than CometBFT's fields hold.
    assert [one["code"] for one in first["tx_results"]] == [0, 2**32 - 1]
    finalize(application, deposit())
    assert balance(application) == 1


def test_state_is_the_one_that_replaying_the_blocks_gives(application):
    execution = Execution(Bank(), 1_700_000_000_000)
    roots = []
    for nonce in (1, 2):
        roots.append(finalize(application, deposit(nonce))["app_hash"])
        transaction = sign_transaction(CHAIN, SIGNER, nonce, encoding.encode(Deposit("a", 1)))
        execution.execute(1_700_000_000_500 + 1000 * nonce, [transaction])
        assert execution.summary.root == roots[-1]
    info = ask(application, "info")
    assert (info["last_block_height"], info["last_block_app_hash"]) == (2, roots[-1])


@pytest.mark.parametrize("height", [0, 2, 7])
def test_height_out_of_its_turn_ends_it(application, height):
    with pytest.raises(LedgerError, match=f"sent height {height} after 0"):
        finalize(application, deposit(), height=height)


def test_absent_value_has_a_code_of_its_own(application):
    assert ask(application, "query", path="nothing") == {"code": 1, "key": b"nothing", "value": b"", "height": 0}


# Snapshots.


def kept(application):
    finalize(application, deposit(1, 5))
    finalize(application, deposit(2, 5))
    ask(application, "commit")
    (snapshot,) = ask(application, "list_snapshots")["snapshots"]
    return snapshot, application.execution.summary.root


def chunks(application, snapshot):
    return [
        ask(application, "load_snapshot_chunk", height=snapshot["height"], format=1, chunk=number)["chunk"]
        for number in range(snapshot["chunks"])
    ]


def newcomer(tmp_path):
    folder = tmp_path / "newcomer"
    folder.mkdir(exist_ok=True)
    return AbciApplication(Bank, CHAIN, MemberVerifier(), folder=folder)


def test_application_comes_back_from_its_snapshot(application, tmp_path):
    _, root = kept(application)
    again = AbciApplication(Bank, CHAIN, MemberVerifier(), folder=tmp_path)
    assert ask(again, "info")["last_block_height"] == 2
    assert again.execution.summary.root == root
    assert finalize(again, deposit(3))["app_hash"] == finalize(application, deposit(3))["app_hash"]


def test_only_the_newest_two_snapshots_are_kept(application):
    for nonce in range(1, 9):
        finalize(application, deposit(nonce))
        ask(application, "commit")
    assert [one["height"] for one in ask(application, "list_snapshots")["snapshots"]] == [6, 8]
    assert ask(application, "load_snapshot_chunk", height=4, format=1, chunk=0) == {}


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "nothing at all"])
def test_damaged_snapshot_file_is_left_and_the_blocks_are_replayed(application, tmp_path, damage):
    kept(application)
    file = tmp_path / "application.snapshot"
    whole = file.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    file.write_bytes({"empty": b"", "cut": whole[:-1], "flipped": flipped, "nothing at all": b"\xff"}[damage])
    again = AbciApplication(Bank, CHAIN, MemberVerifier(), folder=tmp_path)
    assert ask(again, "info")["last_block_height"] == 0
    assert ask(again, "list_snapshots")["snapshots"] == []


def offer(application, snapshot, app_hash, **changes):
    return ask(application, "offer_snapshot", snapshot={**snapshot, **changes}, app_hash=app_hash)["result"]


def apply(application, index, chunk):
    return ask(application, "apply_snapshot_chunk", index=index, chunk=chunk, sender="peer")


def test_newcomer_takes_a_snapshot_over(application, tmp_path):
    snapshot, root = kept(application)
    new = newcomer(tmp_path)
    assert offer(new, snapshot, root) == ACCEPT
    for index, chunk in enumerate(chunks(application, snapshot)):
        assert apply(new, index, chunk) == {"result": ACCEPT}
    assert new.execution.summary.root == root
    assert balance(new) == 10
    # It is on its own disk from now on.
    assert newcomer(tmp_path).execution.summary.root == root


def test_snapshot_that_is_not_the_verified_state_is_not_taken(application, tmp_path):
    snapshot, root = kept(application)
    new = newcomer(tmp_path)
    assert offer(new, snapshot, bytes(32)) == SNAPSHOT_REJECT
    for changes in ({"height": 3}, {"chunks": 2}, {"hash": bytes(32)}, {"metadata": b"\xff"}, {"metadata": b""}):
        assert offer(new, snapshot, root, **changes) == SNAPSHOT_REJECT
    assert apply(new, 0, chunks(application, snapshot)[0]) == {"result": REJECT_SNAPSHOT}
    assert new.execution.height == 0


def test_chunk_that_is_not_the_one_named_is_fetched_from_another(application, tmp_path):
    snapshot, root = kept(application)
    new = newcomer(tmp_path)
    offer(new, snapshot, root)
    (chunk,) = chunks(application, snapshot)
    for index, wrong in ((0, chunk[:-1]), (0, b""), (1, chunk), (2**40, chunk)):
        again = apply(new, index, wrong)
        assert again == {"result": RETRY, "refetch_chunks": [index], "reject_senders": ["peer"]}
    assert new.execution.height == 0
    assert apply(new, 0, chunk) == {"result": ACCEPT}


def test_metadata_whose_chunks_are_no_state_of_it_changes_nothing(application, tmp_path):
    """Its summary is the verified one, and the chunks are another's: only applying them shows it."""
    snapshot, root = kept(application)
    other = AbciApplication(Bank, CHAIN, MemberVerifier(), folder=tmp_path / ".", snapshot_interval=10**6)
    finalize(other, deposit(7, 1000))
    lie = other.execution.snapshot().encode()
    summary, _ = encoding.decode_form(snapshot["metadata"], list)
    digests = [hashlib.sha256(lie[start : start + CHUNK]).digest() for start in range(0, len(lie), CHUNK)]
    metadata = encoding.encode([summary, digests])
    new = newcomer(tmp_path)
    hashed = encoding.digest([summary, digests])
    assert offer(new, snapshot, root, metadata=metadata, hash=hashed, chunks=len(digests)) == ACCEPT
    assert apply(new, 0, lie) == {"result": REJECT_SNAPSHOT}
    assert new.execution.height == 0
    assert not (tmp_path / "newcomer" / "application.snapshot").exists()


# The socket.


def reading(data, *, ends=True):
    async def story():
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        if ends:
            reader.feed_eof()
        return await asyncio.wait_for(read_message(reader), 5)

    return asyncio.run(story())


def test_message_has_a_length_before_it():
    for content in (b"", b"x", bytes(300)):
        assert reading(varint(len(content)) + content) == content


def test_length_over_the_limit_is_refused_before_anything_is_read():
    for length in (MAX_REQUEST + 1, 2**34):
        with pytest.raises(NotCanonical, match=f"an ABCI message of {length} bytes is over the limit"):
            reading(varint(length), ends=False)
    with pytest.raises(NotCanonical, match="the length of an ABCI message is too long"):
        reading(b"\xff" * 40, ends=False)
    with pytest.raises(asyncio.IncompleteReadError):
        reading(varint(10) + b"short")


def served(application, story):
    async def whole():
        with bound() as free:
            port = free.getsockname()[1]
        server = AbciServer(application)
        await server.start(port)
        try:
            async with asyncio.timeout(20):
                await story(lambda: asyncio.open_connection("127.0.0.1", port))
        finally:
            await server.close()

    asyncio.run(whole())


async def answered(reader):
    return {kind: content for kind, content in decode(RESPONSE, await read_message(reader)).items() if content}


def framed(kind, **content):
    data = encode(REQUEST, {kind: content})
    return varint(len(data)) + data


def test_requests_in_one_piece_are_answered_in_their_order(application):
    async def story(call):
        reader, writer = await call()
        writer.write(framed("echo", message="hello") + framed("info") + framed("flush"))
        assert (await answered(reader))["echo"]["message"] == "hello"
        assert (await answered(reader))["info"]["data"] == "medward"
        writer.close()

    served(application, story)


def test_request_that_cannot_be_carried_out_is_answered_with_why(application):
    async def story(call):
        reader, writer = await call()
        writer.write(framed("finalize_block", height=7, hash=b"h"))
        assert "sent height 7 after 0" in (await answered(reader))["exception"]["error"]
        # The connection goes on.
        writer.write(framed("echo", message="still"))
        assert (await answered(reader))["echo"]["message"] == "still"
        writer.close()

    served(application, story)


@pytest.mark.parametrize("garbage", [b"\xff" * 40, varint(MAX_REQUEST + 1), varint(3) + b"\xff\xff\xff"])
def test_garbage_ends_its_own_connection_alone(application, garbage):
    async def story(call):
        reader, writer = await call()
        other, writing = await call()
        writer.write(garbage)
        assert await reader.read() == b""
        writing.write(framed("echo", message="other"))
        assert (await answered(other))["echo"]["message"] == "other"
        for one in (writer, writing):
            one.close()

    served(application, story)
