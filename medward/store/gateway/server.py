"""The Trustless Gateway server: raw blocks and CARs to those who have a certificate, never anything unchecked.

Source: https://specs.ipfs.tech/http-gateways/trustless-gateway/. This gateway does not search: what is not here is 404.
"""

import asyncio
import hashlib
import ipaddress
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Self

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from medward.admission import RefusalListener, nobody
from medward.admission.http import CallerTimeouts, HttpServer
from medward.admission.rooms import Place, Room
from medward.store.car import write_car
from medward.store.dag import get_inline
from medward.store.errors import BlockNotFound, CorruptBlock, StoreError
from medward.store.gateway.negotiation import (
    RAW_TYPE,
    BlockRequest,
    CarRequest,
    HttpProblem,
    matches_etag,
    read_request,
)
from medward.store.gateway.selection import follow_path, select_blocks
from medward.store.gateway.tls import TlsIdentity
from medward.store.interface import BlobStore
from medward.store.limits import DEFAULT_LIMITS, DagLimits

_STRANGERS, _EXPECTED, _MEMBERS = 48, 48, 192
STORE_PLACES = _STRANGERS + _EXPECTED + _MEMBERS
"""Most connections that one gateway holds open at a time."""
_EACH = 32
"""Of one member or one address: as many as a member's `PeerExchange` opens."""
_GRACE_SECONDS, _HANDSHAKE_SECONDS = 1.0, 10.0
_PATIENCE = CallerTimeouts(head=10.0, body=10.0, idle=30.0, stalled=30.0)
_START_SECONDS = 10
_SILENT_SECONDS = 30.0
_IMMUTABLE = "public, max-age=29030400, immutable"


def gateway_application(store: BlobStore, limits: DagLimits = DEFAULT_LIMITS) -> Starlette:
    """Return the web application that serves `store` under `/ipfs/`.

    Args:
        store: whose blocks are served; never asked to fetch.
        limits: bounds on the DAG behind one CAR.
    """

    async def answer(request: Request) -> Response:
        return await run_in_threadpool(_answer, request, store, limits)

    async def refuse(_request: Request, error: Exception) -> Response:
        problem = error if isinstance(error, HttpProblem) else HttpProblem(500, "this gateway failed; see its log")
        return PlainTextResponse(problem.message + "\n", problem.status)

    return Starlette(
        routes=[Route("/ipfs/{path:path}", answer, methods=["GET", "HEAD"])],
        exception_handlers={HttpProblem: refuse},
    )


class GatewayRooms(NamedTuple):
    """Where a gateway's callers have their places.

    Args:
        strangers: who have not shown a certificate yet, from anywhere.
        expected: the same from a member's address.
        members: who have shown one.
    """

    strangers: Room
    expected: Room
    members: Room

    @classmethod
    def of(cls, share: float = 1.0) -> Self:
        """Return rooms with this share of their usual places, `STORE_PLACES` in all."""
        strangers, expected, members = (max(4, int(share * usual)) for usual in (_STRANGERS, _EXPECTED, _MEMBERS))
        return cls(
            Room(strangers, max(2, strangers // 6), grace=_GRACE_SECONDS, life=_HANDSHAKE_SECONDS),
            Room(expected, _EACH, grace=_GRACE_SECONDS, life=_HANDSHAKE_SECONDS),
            Room(members, _EACH, known=True),
        )


def same_certificate(certificate: bytes) -> str:
    """Tell callers apart by their certificates (DER) as they are."""
    return hashlib.sha256(certificate).hexdigest()


class GatewayServer:
    """Serves a store from a thread of its own.

    Args:
        store: whose blocks are served.
        host: address to listen on.
        port: port to listen on; 0 picks a free one.
        tls: this member's identity; None serves without TLS, which is only possible on a loopback address.
        limits: bounds on the DAG behind one CAR.
        refused: told of callers that are turned away.
        rooms: places for callers; the usual ones where None.
        patience: with slow callers.
        who: whose certificate (DER) one is. All that are one member's must have one name, so that a member that makes
            itself many certificates has no more places than others.

    Raises StoreError if the address can't be had or would serve the world in the clear.
    """

    def __init__(
        self,
        store: BlobStore,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: TlsIdentity | None = None,
        limits: DagLimits = DEFAULT_LIMITS,
        refused: RefusalListener = nobody,
        rooms: GatewayRooms | None = None,
        patience: CallerTimeouts = _PATIENCE,
        who: Callable[[bytes], str] = same_certificate,
    ) -> None:
        _LOG.addFilter(_IN_ONE_SENTENCE)
        if tls is None and not _is_loopback(host):
            raise StoreError(f"a gateway on {host} needs a certificate; without one it can only listen on 127.0.0.1")
        self._socket = _listen(host, port)
        address = self._socket.getsockname()
        self.port: int = address[1]
        self.url = f"{'http' if tls is None else 'https'}://{_in_url(host)}:{self.port}"
        rooms = rooms or GatewayRooms.of()

        def greet(place: Place, transport: asyncio.Transport) -> bool:
            tls_side = transport.get_extra_info("ssl_object")
            certificate = tls_side.getpeercert(binary_form=True) if tls_side is not None else None
            return place.move(rooms.members, place.address if certificate is None else who(certificate))

        self._server = HttpServer(
            gateway_application(store, limits),
            rooms.strangers,
            context=None if tls is None else tls.server_context(),
            expected=rooms.expected,
            rooms=(rooms.members,),
            refused=refused,
            patience=patience,
            greet=greet,
        )
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name=f"gateway:{self.port}", daemon=True
        )

    def start(self) -> Self:
        """Begin to serve; returns when connections are accepted."""
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise StoreError(f"the gateway on {self.url} did not start; see the log")
            time.sleep(0.005)
        return self

    def expect(self, hosts: Iterable[str]) -> None:
        """Keep places for callers from these hosts, which are members'; may be called from any thread."""
        if self._server.door is not None and self._server.loop is not None:
            self._server.loop.call_soon_threadsafe(self._server.door.expect, tuple(hosts))

    @property
    def serving(self) -> bool:
        """Whether it still works: its thread is there and was at work lately.

        It is not asked over the network, where whoever fills its queue could make it look dead.
        """
        return self._thread.is_alive() and self._server.silent_seconds < _SILENT_SECONDS

    def stop(self) -> None:
        """Stop serving; requests under way get two seconds to end."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class _OneSentence(logging.Filter):
    """An answer can only be cut off by an exception, which uvicorn logs; one of ours needs no traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        if isinstance(error, StoreError):
            record.msg, record.args = "an answer was cut off: %s", (str(error),)
            record.exc_info = record.exc_text = None
        return True


_LOG = logging.getLogger("uvicorn.error")
_IN_ONE_SENTENCE = _OneSentence()


def _answer(request: Request, store: BlobStore, limits: DagLimits) -> Response:
    """Answer one request; runs in a worker thread, as it reads from disk."""
    raw_path = request.scope.get("raw_path", request.url.path.encode()).decode("ascii", "replace")
    path = raw_path.partition("?")[0].removeprefix("/ipfs/")
    query = dict(request.query_params)
    wanted = read_request(path, query, request.headers.get("accept"))
    headers = {
        "Cache-Control": _IMMUTABLE,
        "X-Content-Type-Options": "nosniff",
        "X-Ipfs-Path": f"/ipfs/{path}",
        "Accept-Ranges": "none",
        "Content-Disposition": f'attachment; filename="{wanted.filename}"',
        "Etag": _etag(wanted),
    }
    if "format" not in query:
        name = "raw" if isinstance(wanted, BlockRequest) else "car"
        query_string = f"{request.url.query}&" if request.url.query else ""
        headers["Content-Location"] = f"/ipfs/{path}?{query_string}format={name}"
    try:
        root = get_inline(wanted.cid, store.get_block)
    except (BlockNotFound, CorruptBlock):
        cached_only = "only-if-cached" in request.headers.get("cache-control", "")
        raise HttpProblem(412 if cached_only else 404, f"{wanted.cid} is not here") from None
    if matches_etag(request.headers.get("if-none-match"), headers["Etag"]):
        return Response(status_code=304, headers=headers)
    if isinstance(wanted, BlockRequest):
        headers["X-Ipfs-Roots"] = str(wanted.cid)
        return Response(root, media_type=RAW_TYPE, headers=headers)
    return _answer_car(wanted, store, limits, headers, request.method == "HEAD")


def _answer_car(
    wanted: CarRequest, store: BlobStore, limits: DagLimits, headers: dict[str, str], head: bool
) -> Response:
    selection = follow_path(wanted, store.get_block)
    headers["X-Ipfs-Roots"] = ",".join(str(cid) for cid in (wanted.cid, selection.terminus)[-1 - bool(wanted.path) :])
    headers["Content-Type"] = wanted.content_type
    if head:
        return Response(headers=headers)
    blocks = select_blocks(wanted, selection, store.get_block, limits)
    return StreamingResponse(_joined(write_car([wanted.cid], blocks)), headers=headers)


def _joined(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Join small pieces, so that each is worth the way through the server."""
    waiting: list[bytes] = []
    for piece in pieces:
        waiting.append(piece)
        if sum(map(len, waiting)) >= 64 * 1024:
            yield b"".join(waiting)
            waiting.clear()
    if waiting:
        yield b"".join(waiting)


def _etag(wanted: BlockRequest | CarRequest) -> str:
    if isinstance(wanted, BlockRequest):
        return f'"{wanted.cid}.raw"'
    parameters = (wanted.path, wanted.scope.value, wanted.byte_range, wanted.repeat)
    digest = hashlib.sha256(repr(parameters).encode()).hexdigest()[:16]
    return f'W/"{wanted.cid}.car.{wanted.scope.value}.{digest}"'


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise StoreError(f"cannot listen on {host}:{port}: {error.strerror}; choose another port or address") from None
    return listener


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
