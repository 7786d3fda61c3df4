"""One peer's gateway as a client sees it: every answer is bounded in bytes and time, and checked before it is used."""

import asyncio
import ipaddress
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

import httpcore

from medward.store.car import CarDecoder
from medward.store.cid import Cid
from medward.store.errors import BlockNotFound, InvalidCar, PeerFailure, StoreError
from medward.store.gateway.negotiation import CAR_TYPE, RAW_TYPE
from medward.store.limits import MAX_BLOCK_BYTES


@dataclass(frozen=True, slots=True)
class Peer:
    """Another member's gateway.

    Args:
        name: how messages call it.
        url: `https://host:port`; `http` is accepted for a loopback address only.

    Raises StoreError for any other URL.
    """

    name: str
    url: str

    def __post_init__(self) -> None:
        try:
            url = urlsplit(self.url)
            host = url.hostname if url.port is None or url.port else None
        except ValueError:  # brackets that hold no address, or a port that is none
            host = None
        # A URL with other letters cannot be asked, and white space is read differently by every reader.
        if not (self.url.isascii() and self.url.isprintable()) or " " in self.url:
            host = None
        if host and (url.scheme == "https" or (url.scheme == "http" and _is_loopback(host))):
            return
        raise StoreError(f"the peer {self.name} is at {self.url}; use https://, or http:// on 127.0.0.1 only")


@dataclass(frozen=True, slots=True)
class PeerTimeouts:
    """How long a peer may take, in seconds.

    Args:
        connect: until a connection stands.
        block: until one block (at most 2 MiB) is there from the moment it is asked for, however the bytes drip in; a
            CAR gets as long for its beginning and for every 2 MiB of it that are of use.
        hedge: after this long without an answer, other peers are asked, too, for what is late.
        fetch: until a whole DAG is here.
    """

    connect: float = 5.0
    block: float = 30.0
    hedge: float = 5.0
    fetch: float = 600.0


@dataclass(frozen=True, slots=True)
class CarOrder:
    """What is expected of a CAR.

    Args:
        root: whose DAG it holds.
        patience: how long the peer may take.
        max_bytes: most bytes that are read of it.
        max_blocks: most blocks that it may hold, repeated ones included.
        is_of_use: says whether a block is still wanted; others buy the peer no time.
    """

    root: Cid
    patience: PeerTimeouts
    max_bytes: int
    max_blocks: int
    is_of_use: Callable[[Cid], bool]


class LyingPeer(PeerFailure):
    """A peer sent what it was not asked for; it is not asked again."""


async def ask_for_block(pool: httpcore.AsyncConnectionPool, peer: Peer, cid: Cid, patience: PeerTimeouts) -> bytes:
    """Return a block from a peer, checked.

    Raises BlockNotFound if the peer says that it does not have it, LyingPeer if what it sends is not the block, and
    PeerFailure for anything else, in at most `patience.block` seconds and with at most 2 MiB read.
    """
    headers: dict[bytes | str, bytes | str] = {"Accept": RAW_TYPE, "Accept-Encoding": "identity"}
    content = bytearray()
    async with _answer(pool, peer, f"/ipfs/{cid}?format=raw", headers, patience) as (stream, deadline):
        while piece := await _piece(stream, deadline):
            content += piece
            if len(content) > MAX_BLOCK_BYTES:
                raise LyingPeer(f"{peer.name} sent more than {MAX_BLOCK_BYTES} bytes for the block {cid}")
    block = bytes(content)
    if not await asyncio.to_thread(cid.matches, block):
        raise LyingPeer(f"{peer.name} sent {len(block)} bytes that are not the block {cid}")
    return block


async def ask_for_car(
    pool: httpcore.AsyncConnectionPool, peer: Peer, order: CarOrder
) -> AsyncGenerator[tuple[Cid, bytes], None]:
    """Yield the blocks of a DAG as a peer sends them, parents first, each checked against its CID.

    Whether they are the right blocks, in an order that proves it, is for the caller to say: it ends the iteration if
    not. Raises as `ask_for_block`, also for a drip slower than 2 MiB of use in `patience.block` seconds. How long the
    caller takes for a block is not the peer's time.
    """
    headers: dict[bytes | str, bytes | str] = {
        "Accept": f"{CAR_TYPE}; version=1; order=dfs; dups=n",
        "Accept-Encoding": "identity",
    }
    decoder, received, clock = CarDecoder(order.max_blocks), 0, asyncio.get_running_loop().time
    path = f"/ipfs/{order.root}?format=car"
    async with _answer(pool, peer, path, headers, order.patience) as (stream, beginning_due):
        deadline = beginning_due
        while piece := await _piece(stream, deadline):
            received += len(piece)
            if received > order.max_bytes:
                raise LyingPeer(f"{peer.name} sent more than {order.max_bytes} bytes for the DAG {order.root}")
            try:
                for cid, block in decoder.receive(piece):
                    if order.is_of_use(cid):
                        deadline += order.patience.block * len(block) / MAX_BLOCK_BYTES
                    given = clock()
                    yield cid, block
                    deadline += clock() - given
            except InvalidCar as error:
                raise LyingPeer(f"{peer.name} sent a CAR that is wrong: {error}") from None
    try:
        decoder.finish()
    except InvalidCar as error:
        raise PeerFailure(f"{peer.name} sent a CAR that is cut off: {error}") from None


@asynccontextmanager
async def _answer(
    pool: httpcore.AsyncConnectionPool,
    peer: Peer,
    path: str,
    headers: Mapping[bytes | str, bytes | str],
    patience: PeerTimeouts,
) -> AsyncIterator[tuple[AsyncIterator[bytes], float]]:
    """Ask a peer; give the bytes of its answer, to be read with `_piece`, and when `patience.block` is over."""
    deadline = asyncio.get_running_loop().time() + patience.block
    limits = {"connect": patience.connect, "read": patience.block, "write": patience.block, "pool": patience.block}
    try:
        async with AsyncExitStack() as stack:
            async with asyncio.timeout_at(deadline):
                asked = pool.stream("GET", peer.url + path, headers=headers, extensions={"timeout": limits})
                response = await stack.enter_async_context(asked)
            _check_status(peer, response, path)
            yield aiter(response.aiter_stream()), deadline
    except TimeoutError:
        raise PeerFailure(f"{peer.name} took longer than {patience.block:g} s to answer {path}") from None
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
        reason = str(error) or type(error).__name__
        raise PeerFailure(f"{peer.name} at {peer.url} could not be asked for {path}: {reason}") from None


async def _piece(stream: AsyncIterator[bytes], deadline: float) -> bytes:
    """Return the next piece of an answer, nothing at its end.

    No time-out may enclose a `yield`: it would cancel whatever the generator's caller waits for when the time is over,
    such as a block that is being written, and nothing would turn that into an error of the peer.

    Args:
        stream: of the answer.
        deadline: when the piece must be here, by the loop's clock; TimeoutError then.
    """
    async with asyncio.timeout_at(deadline):
        while (piece := await anext(stream, None)) is not None:
            if piece:
                return piece
    return b""


def _check_status(peer: Peer, response: httpcore.Response, path: str) -> None:
    if response.status == HTTPStatus.OK:
        return
    if response.status in (HTTPStatus.NOT_FOUND, HTTPStatus.PRECONDITION_FAILED, HTTPStatus.GONE):
        raise BlockNotFound(f"{peer.name} does not have {path}")
    raise PeerFailure(f"{peer.name} answered {response.status} when asked for {path}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
