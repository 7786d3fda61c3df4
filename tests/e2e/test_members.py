"""A hospital joins a federation that trains, with the two commands of the documentation, and leaves it again."""

import asyncio
import base64
import contextlib
import random
import re
import shutil
import socket
import sqlite3
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from medward.federation.records import Answer, RoundTick, decode_record, encode_record
from medward.federation.round.state import Round
from medward.federation.sums.encrypted import EncryptedSum
from medward.federation.sums.journal import AnswerJournal
from medward.fhe.hybrid import HybridKey
from medward.flows.datasets.ward import write_csv
from medward.ledger.encoding import decode_form, encode
from medward.ledger.errors import LedgerError, TransactionRefused
from medward.ledger.pbft.client import PbftClient
from medward.ledger.pbft.client_protocol import (
    ClientMessage,
    GetBlock,
    GetStatus,
    NodeStatus,
    Receipts,
    Refusal,
    ServerMessage,
    StateQuery,
    SubmitTransactions,
    WatchTransactions,
)
from medward.ledger.pbft.identity import NodeIdentity, pinned_context
from medward.ledger.pbft.messages import Status, encode_message
from medward.ledger.pbft.runtime.transport import frame, read_frame
from medward.ledger.signatures import MemberSigner
from medward.ledger.transactions import decode_transaction
from medward.ledger.types import Member
from medward.node.api.client import NodeClient
from medward.node.errors import ApiRefused
from medward.node.home.folder import Home
from medward.node.store.gateway_keys import make_gateway_identity
from medward.node.training.files import TrainingFiles
from medward.store.cid import Cid
from medward.store.limits import DEFAULT_LIMITS
from medward.store.local import open_directory
from tests.e2e.documented import adapted, commands, said
from tests.e2e.ward import NAMES, PATIENT, Ward, run

pytestmark = pytest.mark.processes

NEWCOMER = "fifth"
ROWS = 1016
#: More than this test waits for: the plan must not be fulfilled before it has seen what it came for.
ROUNDS = 300


def neighbouring_ports(count: int) -> int:
    """Return the first of so many free ports in a row, below those that nodes of other tests are given."""
    for _ in range(1000):
        first = random.randrange(15_000, 20_000 - count)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + count):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            return first
    raise AssertionError("no free ports")


class Newcomer:
    """A hospital that comes by the documented commands."""

    def __init__(self, ward: Ward, folder: Path) -> None:
        self.ward, self.folder = ward, folder
        self.home = Home(folder / NEWCOMER)
        rows = folder / "flows"
        rows.mkdir(parents=True)
        write_csv(rows / "flows.csv", ROWS, seed=77)
        federation = folder / "federation.json"
        federation.write_text(ward.launcher.client("h1").text("/federation"))
        self.stand_ins: dict[str, object] = {
            "10.1.0.9:7450": f"127.0.0.1:{neighbouring_ports(4)}",
            "/var/lib/medward/flows": rows,
            "/var/lib/medward/fifth": self.home.folder,
            "federation.json": federation,
            "1f0a ...": ward.launcher.homes["h0"].federation().fingerprint,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def come(self) -> None:
        """Say what a newcomer says: two commands."""
        joining, starting, *_ = commands("Members come, go and change keys")
        assert (joining[:3], starting[:3]) == (("medward", "federation", "join"), ("medward", "node", "up"))
        said(adapted(joining, self.stand_ins))
        with (self.folder / "output").open("wb") as output:
            command = adapted(starting, self.stand_ins)
            self.process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        # From here on it is waited for like the others.
        self.ward.launcher.homes[NEWCOMER] = self.home

    def admitted_by(self, name: str) -> None:
        """Have a member say the documented command."""
        admitting = commands("Members come, go and change keys")[2]
        assert admitting[:3] == ("medward", "federation", "admit")
        stand_ins = {
            "fifth.json": self.home.card_file,
            "77c0 ...": self.home.card().fingerprint,
            "/var/lib/medward/north": self.ward.launcher.homes[name].folder,
        }
        said(adapted(admitting, stand_ins))

    def leave(self) -> int:
        """Say the documented command; return the exit code of its node."""
        leaving = commands("Members come, go and change keys")[3]
        assert leaving[:3] == ("medward", "federation", "leave")
        said(adapted(leaving, self.stand_ins))
        assert self.process is not None
        return self.process.wait(240)

    def gone(self) -> None:
        """End its node where it still runs, by the process that this test started."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


async def trained_by(ward: Ward, cohort: list[str], after: int, answering: str | None = None) -> tuple[int, Any]:
    """Wait for a training round of exactly these hospitals behind a round, in which one of them answered if wanted."""

    def told() -> list[tuple[int, Any]]:
        return [
            (number, one)
            for number, one in sorted(ward.rounds("h0").items())
            if number > after
            and one["task"] == "train"
            and sorted(one["cohort"]) == cohort
            and (answering is None or answering in one["answers"])
        ]

    await ward.until(lambda: bool(told()), f"{cohort} train together")
    return told()[0]


class Watched:
    """What everybody who reads the ledger and the members' stores may see of a round that is over.

    Args:
        ward: gives the blobs, each from its author's store.
        now: the round, as the ledger has it.
    """

    def __init__(self, ward: Ward, now: Round) -> None:
        self.now = now
        self.contributions = {name: stored(ward, name, now.submissions[name].contribution) for name in now.cohort}
        self.answers = {name: stored(ward, name, blob) for name, blob in now.answers.items()}

    def decrypts(self, answers: list[str]) -> bool:
        """Whether the sum can be found from these answers."""
        everybody = EncryptedSum("", None, b"")
        chosen = {name: self.answers[name] for name in answers}
        return everybody.decrypt(self.now.sum_terms, self.now.cohort, self.contributions, chosen) is not None


def stored(ward: Ward, name: str, blob: str) -> bytes:
    """A blob in a member's store."""
    with open_directory(ward.launcher.homes[name].store, read_only=True) as store:
        return store.read(Cid.parse(blob), DEFAULT_LIMITS)


def asking_as(home: Home, signer: MemberSigner | None = None) -> PbftClient:
    """A client with a member's certificate; whose transactions it hands in is another matter."""
    mine = home.identity()
    return PbftClient(
        home.federation().genesis,
        signer or MemberSigner(Ed25519PrivateKey.generate()),
        first_nonce=time.time_ns() // 1000,
        patience=0.5,
        context=mine.asking_context,
    )


async def on_the_ledger(ward: Ward, number: int) -> Round:
    """A round that is over, proved by the ledger; a checkpoint may have to come first."""
    client = asking_as(ward.launcher.homes["h1"])
    try:
        async with asyncio.timeout(240):
            while True:
                with contextlib.suppress(LedgerError):
                    answer = await client.query(f"round/{number:08d}")
                    if answer.value is not None:
                        return msgspec.msgpack.decode(answer.value, type=Round)
                await asyncio.sleep(1)
    finally:
        await client.close()


def test_newcomer_trains_and_holds_shares_and_who_left_can_open_none(tmp_path: Path) -> None:
    async def tell(ward: Ward) -> None:
        await ward.until(lambda: 0 in ward.rounds("h0"), "a round is over")
        newcomer = Newcomer(ward, tmp_path / "elsewhere")
        try:
            await asyncio.to_thread(newcomer.come)
            await ward.until(lambda: "waits until a member admits" in output(newcomer), "the newcomer waits")
            await lives_through(ward, newcomer)
        finally:
            newcomer.gone()
            del ward.launcher.homes[NEWCOMER]

    run(tmp_path, ROUNDS, tell, deadline=PATIENT)


def output(newcomer: Newcomer) -> str:
    return (newcomer.folder / "output").read_text()


async def lives_through(ward: Ward, newcomer: Newcomer) -> None:
    backup = newcomer.folder / "answers.sqlite"
    copied(ward.launcher.homes["h3"].participant / "answers.sqlite", backup)
    await asyncio.to_thread(newcomer.admitted_by, "h0")
    assert NEWCOMER not in [member["name"] for member in ward.launcher.client("h0").get("/members")]
    await asyncio.to_thread(newcomer.admitted_by, "h2")  # f+1 of them

    # From the next round on it is dealt shares, and its training counts.
    five = sorted([*NAMES, NEWCOMER])
    number, told = await trained_by(ward, five, -1, answering=NEWCOMER)
    state = ward.state(NEWCOMER)
    assert (state["sealing_keys"], state["absent_holders"]) == (5, [])
    assert told["checks"]["in_the_cohort"] == 5
    # Its rows are its own, and no one else's.
    assert 0 < state["training_rows"] < ROWS
    assert state["training_rows"] not in [ward.state(name)["training_rows"] for name in NAMES]
    await ward.until(lambda: made_the_same_model(ward, newcomer), "the newcomer made the same model")

    assert await asyncio.to_thread(newcomer.leave) == 0
    last, _ = await trained_by(ward, list(NAMES), number)
    assert ward.state("h0")["sealing_keys"] == len(NAMES)
    await opens_nothing(ward, newcomer, last)
    await is_refused_everywhere(ward, newcomer, told, last)
    await answers_nothing_without_its_journal(ward, "h3", backup)
    holds_no_secret(ward, newcomer)


def made_the_same_model(ward: Ward, newcomer: Newcomer) -> bool:
    """Say whether it made a round's model itself: in some round, since one is over before the slowest has made it."""
    kept = TrainingFiles(newcomer.home.participant)
    models = [told["model"] for told in ward.rounds("h0").values() if told["model"] is not None]
    return any(kept.model(model) is not None for model in models)


async def opens_nothing(ward: Ward, newcomer: Newcomer, number: int) -> None:
    """Try, with all that the one who left keeps, what was dealt after it left, and the answers of all but enough."""
    seen = Watched(ward, await on_the_ledger(ward, number))
    terms = seen.now.sum_terms
    with AnswerJournal(TrainingFiles(newcomer.home.participant).answers) as journal:
        keys = [HybridKey.from_bytes(secret) for secret in journal.sealing_keys().values()]
    assert keys
    assert {key.public for key in keys}.isdisjoint(terms.sealing_keys)
    assert NEWCOMER not in terms.holders
    enough = sorted(seen.answers)[: terms.threshold]
    assert seen.decrypts(enough)
    assert not seen.decrypts(enough[1:])


async def is_refused_everywhere(ward: Ward, newcomer: Newcomer, told: Any, number: int) -> None:
    """Have the one who left, and a stranger, try every port of h0."""
    home = ward.launcher.homes["h0"]
    h0 = home.card().member
    gone = newcomer.home.identity()
    stranger = NodeIdentity.create(newcomer.folder / "stranger")

    # The store answers neither of them.
    gateway = ward.launcher.client("h0").get("/status")["store"]["gateway"]
    url = f"https://{gateway}/ipfs/{told['contributions']['h0']}?format=raw"
    trusted = [home.card().member.certificate]
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.load_verify_locations(cadata=h0.certificate)
    keys = {"gone": newcomer.home.ledger / "keys", "strange": newcomer.folder / "stranger"}
    contexts = [
        make_gateway_identity(newcomer.folder / name, folder, "127.0.0.1:1", trusted).client_context()
        for name, folder in keys.items()
    ]
    for context in (*contexts, bare):
        with pytest.raises(httpx.TransportError):
            await asyncio.to_thread(httpx.get, url, verify=context)

    # What was ordered once is not ordered again: answered as before while that is known, and then refused.
    member = ward.launcher.homes["h1"]
    replayed = await an_old_transaction(member)
    while isinstance(answer := await asked(h0, SubmitTransactions((replayed,)), member.identity()), Receipts):
        await asyncio.sleep(1)
    assert isinstance(answer, Refusal)
    assert answer.reason == "this nonce was used long ago"

    # The ledger hangs up on whoever shows a certificate that is no present member's; who shows none may ask where it
    # stands, and reads nothing.
    assert await hung_up(h0, stranger)
    while not await hung_up(h0, gone):  # it may still be talked to for some blocks, to learn that it left
        await asyncio.sleep(1)
    for question in (
        GetBlock(1),
        StateQuery(f"round/{number:08d}"),
        SubmitTransactions((replayed,)),
        WatchTransactions(member.card().member.keys[0].data, 1, 64),
    ):
        assert await asked(h0, question) is None
    shown = await asked(h0, GetStatus())
    assert isinstance(shown, NodeStatus)
    assert {one.name for one in shown.membership.members} == set(NAMES)

    # No record of either is taken, not even where a member hands it in.
    for signer in (gone.signer, MemberSigner(Ed25519PrivateKey.generate())):
        client = asking_as(member, signer)
        for record in (RoundTick(number + 1), Answer(number + 1, NEWCOMER, told["answers"][NEWCOMER])):
            with pytest.raises(TransactionRefused, match="code 2"):  # only members speak here
                await client.submit(encode_record(record), give_up=60)
        await client.close()

    # Another node's token opens nothing.
    with NodeClient(ward.launcher.client("h0").url, newcomer.home.token()) as api, pytest.raises(ApiRefused):
        await asyncio.to_thread(api.get, "/status")

    log = home.log_file.read_text()
    for line in (
        "refused at the port of the store: a caller's certificate is no member's",
        "refused at the port of the ledger: a caller's certificate is no member's",
        "refused at the port of the ledger: a client's transaction",
        "refused at the port of the ledger: a caller without a member's certificate asked for records",
        "this nonce was used long ago",
        "the token is wrong",
    ):
        assert line in log, line


def copied(journal: Path, backup: Path) -> None:
    """Copy a journal that is in use, as a backup program does."""
    with contextlib.closing(sqlite3.connect(journal)) as source, contextlib.closing(sqlite3.connect(backup)) as target:
        source.backup(target)


async def answers_nothing_without_its_journal(ward: Ward, name: str, backup: Path) -> None:
    """Put an old copy of a member's answers back beside keys that are its present ones: the node must not go on."""
    await ward.launcher.stop([name])
    folder = ward.launcher.homes[name].participant
    for part in folder.glob("answers.sqlite*"):
        part.unlink()
    shutil.copy(backup, folder / "answers.sqlite")
    (folder / "answers.sqlite").chmod(0o600)
    ward.launcher.start(name)
    await ward.until(lambda: not ward.launcher.running(name), f"{name} stops")
    assert re.search(
        rf"the ledger shows what {name} answered in round \d+, and its journal lacks that", ward.launcher.output(name)
    )


async def hung_up(member: Member, identity: NodeIdentity) -> bool:
    """Call a member's ledger with a certificate; say whether it hangs up without a word within ten seconds."""
    host, _, port = member.address.rpartition(":")
    context = identity.client_context(member)
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
        writer.write(frame(encode_message(Status(0, 0, False, 0, 0, 0, False, 0))))
        try:
            async with asyncio.timeout(10):
                return await reader.read() == b""
        except TimeoutError:
            return False
        finally:
            writer.close()
    return True


async def an_old_transaction(home: Home) -> bytes:
    """Return one of a member's first transactions, as h0's ledger has it; its numbers went on far beyond it."""
    author = home.card().member.keys[0].data
    client = asking_as(home)
    try:
        status = await client.status("h0")
        assert status is not None
        for height in range(1, status.height):
            reply = await client.block("h0", height)
            for encoded in () if reply is None or reply.block is None else reply.block.transactions:
                transaction = decode_transaction(encoded)
                if transaction.client == author and decode_record(transaction.payload) is not None:
                    return encoded
    finally:
        await client.close()
    raise AssertionError("it ordered nothing that h0 still has")


async def asked(member: Member, message: ClientMessage, mine: NodeIdentity | None = None) -> ServerMessage | None:
    """Ask a member's ledger as a client does; return the answer, None where it hangs up without one."""
    host, _, port = member.address.rpartition(":")
    context = pinned_context(member) if mine is None else mine.asking_context(member)
    reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
    try:
        writer.write(frame(encode(message)))
        async with asyncio.timeout(60):
            answer: ServerMessage = decode_form(await read_frame(reader), ServerMessage, thinnest=4)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    finally:
        writer.close()
    return answer


def secret_bytes(home: Home) -> Iterator[bytes]:
    """Yield what a hospital's draws derive from, and the secrets of its sealing keys and of the round under way."""
    files = TrainingFiles(home.participant)
    yield files.secret()
    with contextlib.closing(sqlite3.connect(f"{files.answers.as_uri()}?mode=ro", uri=True)) as journal:
        drawn = journal.execute("SELECT answer FROM answers WHERE kind = 'secret' AND answer IS NOT NULL").fetchall()
        sealing = journal.execute("SELECT secret FROM sealing_keys").fetchall()
    assert sealing
    for (secret,) in (*drawn, *sealing):
        yield secret


def holds_no_secret(ward: Ward, newcomer: Newcomer) -> None:
    """Look through everything that the nodes wrote for every secret that they have, in every common form."""
    homes = [*ward.launcher.homes.values()]
    secrets: set[str] = set()
    for home in homes:
        secrets.add(home.token())
        for name in ("signing.key", "tls.key"):
            secrets |= set(re.findall(r"(?m)^[A-Za-z0-9+/=]{40,}$", (home.ledger / "keys" / name).read_text()))
        for content in secret_bytes(home):
            secrets |= {content.hex(), base64.b64encode(content).decode().rstrip("="), repr(content)[2:-1]}
    assert len(secrets) > 4 * len(homes)
    written = [home.log_file.read_text() + ward.launcher.output(name) for name, home in ward.launcher.homes.items()]
    written.append(output(newcomer))
    assert all("Traceback" not in text for text in written)
    found = [secret[:4] for secret in secrets if any(secret in text for text in written)]
    assert not found
