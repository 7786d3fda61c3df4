"""The HTTP API of one node: what it knows, and changes of membership in its name.

    GET  /health      200 while the node works, 503 otherwise, and whether a quorum is in reach; no token needed
    GET  /status      where the node stands
    GET  /members     who votes, and where they are reached
    GET  /rounds      what the participant says of rounds, the latest first
    GET  /models      what it says of models
    GET  /datasets    the sealed data sets that are on record
    GET  /metrics     Prometheus text
    GET  /federation  the federation file, with the present members: what a newcomer needs
    GET  /audit       a tar archive of everything that an audit reads (audit_copy.py)
    POST /members     {"admit": CARD}, {"remove": NAME}, {"retract": NAME} or {"leave": true}
    POST /resume      nothing; this member says that a federation goes on that has stopped
    POST /datasets    {"take": FILE}, {"withdraw": CID}, {"fetch": CID}, {"key_of": NAME} or {"publish": "key"}

Answers are JSON but for /metrics and /audit; a refusal is {"error": one sentence}.
"""

import logging
import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from medward.admission import RefusalListener, nobody
from medward.admission.http import CallerTimeouts, HttpServer
from medward.admission.rooms import Room
from medward.errors import MedwardError
from medward.node.api.guard import Guard
from medward.node.errors import InvalidCard, NodeError
from medward.node.home.cards import Card, CardForm, card_of, check_card
from medward.node.home.configuration import ApiTable, split_address
from medward.node.home.private_files import check_private

_LOG = logging.getLogger("medward.node.api.server")
_STRANGERS, _HOLDERS = 64, 64
API_PLACES = _STRANGERS + _HOLDERS
"""Most connections that the API holds open at a time."""
_GRACE_SECONDS, _STRANGER_SECONDS = 0.25, 10.0


class MembersRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `POST /members` is asked: exactly one of these."""

    admit: CardForm | None = None
    remove: str | None = None
    retract: str | None = None
    leave: bool = False


class AboutData(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What `POST /datasets` is asked: exactly one of these (data_desk.py)."""

    take: str | None = None
    withdraw: str | None = None
    fetch: str | None = None
    key_of: str | None = None
    publish: str | None = None


class Shown(ABC):
    """What the API shows of a node, and what it may ask of it."""

    @abstractmethod
    def health(self) -> str | None:
        """Return what is wrong, None where nothing is."""

    @abstractmethod
    def has_quorum(self) -> bool:
        """Return whether so many members are in reach that the ledger can order."""

    @abstractmethod
    async def status(self) -> Mapping[str, Any]:
        """Return where the node stands."""

    @abstractmethod
    def members(self) -> Sequence[Mapping[str, Any]]:
        """Return who votes."""

    @abstractmethod
    def rounds(self) -> Sequence[Mapping[str, Any]]:
        """Return the rounds."""

    @abstractmethod
    def models(self) -> Sequence[Mapping[str, Any]]:
        """Return the models."""

    @abstractmethod
    def datasets(self) -> Sequence[Mapping[str, Any]]:
        """Return the sealed data sets."""

    @abstractmethod
    async def about_data(self, wanted: Mapping[str, str]) -> Mapping[str, Any]:
        """Do one thing with sealed data sets; return what came of it."""

    @abstractmethod
    async def resume(self) -> Mapping[str, Any]:
        """Order that a federation goes on that has stopped; return once it is ordered."""

    @abstractmethod
    async def metrics(self) -> bytes:
        """Return the metrics as Prometheus text."""

    @abstractmethod
    def federation(self) -> bytes:
        """Return the federation file with the present members."""

    @abstractmethod
    def audit_copy(self) -> Iterator[bytes]:
        """Yield the archive of what an audit reads; blocks. NodeError where it can't be read while the node runs."""

    @abstractmethod
    async def admit(self, card: Card) -> Mapping[str, Any]:
        """Order that a member comes, or comes back with new keys; return once it is ordered."""

    @abstractmethod
    async def remove(self, name: str) -> Mapping[str, Any]:
        """Order that a member goes; return once it is ordered."""

    @abstractmethod
    async def retract(self, name: str) -> Mapping[str, Any]:
        """Order that this member's wish about a name is taken back; return once it is ordered."""

    @abstractmethod
    async def leave(self) -> Mapping[str, Any]:
        """Order that this member goes; return once it is ordered."""


def api_application(node: Shown) -> Starlette:
    """Return the API without its guard."""

    def listing(say: Callable[[], Sequence[Mapping[str, Any]]]) -> Callable[[Request], Any]:
        async def answer(_: Request) -> Response:
            return JSONResponse(list(say()))

        return answer

    async def status(_: Request) -> Response:
        return JSONResponse(await node.status())

    async def health(_: Request) -> Response:
        problem = node.health()
        said = {"healthy": problem is None, "quorum": node.has_quorum()}
        return JSONResponse(said, 200 if problem is None else 503)

    async def metrics(_: Request) -> Response:
        return PlainTextResponse(await node.metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def federation(_: Request) -> Response:
        return Response(node.federation(), media_type="application/json")

    async def audit_copy(_: Request) -> Response:
        try:
            return StreamingResponse(node.audit_copy(), media_type="application/x-tar")
        except MedwardError as error:
            return _problem(409, str(error))

    async def change(request: Request) -> Response:
        try:
            wanted = msgspec.json.decode(await request.body(), type=MembersRequest)
            return JSONResponse(await _carry_out(node, wanted))
        except ClientDisconnect:
            return _problem(413, "the body is too long")
        except (msgspec.MsgspecError, InvalidCard) as error:
            _LOG.warning("refused a change of membership: %.200r", str(error))
            return _problem(400, f"the body is no change of membership: {error}")
        except MedwardError as error:
            _LOG.warning("refused a change of membership: %s", error)
            return _problem(409, str(error))

    async def about_data(request: Request) -> Response:
        try:
            wanted = msgspec.to_builtins(msgspec.json.decode(await request.body(), type=AboutData))
            if len(wanted) != 1:
                return _problem(400, "expected one of take, withdraw, fetch, key_of and publish")
            return JSONResponse(await node.about_data(wanted))
        except ClientDisconnect:
            return _problem(413, "the body is too long")
        except msgspec.MsgspecError as error:
            return _problem(400, f"the body asks for nothing that can be done with data sets: {error}")
        except MedwardError as error:
            return _problem(409, str(error))

    async def resume(_: Request) -> Response:
        try:
            return JSONResponse(await node.resume())
        except MedwardError as error:
            return _problem(409, str(error))

    return Starlette(
        routes=[
            Route("/health", health),
            Route("/status", status),
            Route("/members", listing(node.members), methods=["GET"]),
            Route("/members", change, methods=["POST"]),
            Route("/rounds", listing(node.rounds)),
            Route("/models", listing(node.models)),
            Route("/datasets", listing(node.datasets), methods=["GET"]),
            Route("/datasets", about_data, methods=["POST"]),
            Route("/resume", resume, methods=["POST"]),
            Route("/metrics", metrics),
            Route("/federation", federation),
            Route("/audit", audit_copy),
        ],
        exception_handlers={404: _absent, 405: _absent, Exception: _defect},
    )


class ApiRooms(NamedTuple):
    """Where callers have their places.

    Args:
        strangers: who have not shown the token. They may come from the address of the operator, which on one machine
            all share, so a newcomer is always let in, at the cost of the stranger who has been there longest.
        holders: who have shown it.
    """

    strangers: Room
    holders: Room

    @classmethod
    def of(cls, share: float = 1.0, tls: bool = False) -> Self:
        """Return rooms with this share of their usual places, `API_PLACES` in all; with TLS, for fewer a second."""
        strangers, holders = (max(16, int(share * usual)) for usual in (_STRANGERS, _HOLDERS))
        return cls(
            Room(strangers, strangers, grace=1.0 if tls else _GRACE_SECONDS, life=_STRANGER_SECONDS),
            Room(holders, holders, known=True),
        )


class ApiServer:
    """Serves the API from the node's own loop.

    Args:
        node: what is shown.
        table: where it listens.
        home: folder that the table's file names start from.
        token: what callers must know.
        refused: told of callers that are turned away before they asked anything.
        rooms: places for callers; the usual ones where None.
        patience: with slow callers.

    Raises:
        NodeError: the address can't be had, or the certificate can't be used.
    """

    def __init__(
        self,
        node: Shown,
        table: ApiTable,
        home: Path,
        token: str,
        refused: RefusalListener = nobody,
        rooms: ApiRooms | None = None,
        patience: CallerTimeouts = CallerTimeouts(),  # noqa: B008  (it cannot change)
    ) -> None:
        self._on_refusal = refused
        self._rooms = rooms or ApiRooms.of()
        self._patience = patience
        self.guard = Guard(
            api_application(node), token, table.requests_per_second, frozenset({"/health"}), self._rooms.holders
        )
        host, port = split_address(table.listen, "api.listen")
        self._context = _context(home / table.certificate, home / table.key) if table.certificate else None
        self._socket = _listen(host, port)
        self._server: HttpServer | None = None
        self._ended = False

    async def run(self) -> None:
        """Serve until `stop`; may be called again after a crash."""
        if self._ended:
            return
        self._server = HttpServer(
            self.guard,
            self._rooms.strangers,
            context=self._context,
            rooms=(self._rooms.holders,),
            refused=self._on_refusal,
            patience=self._patience,
        )
        # The server closes what it is given.
        await self._server.serve(sockets=[self._socket.dup()])

    def stop(self) -> None:
        """End `run`; requests under way get two seconds."""
        self._ended = True
        if self._server is not None:
            self._server.should_exit = True
        self._socket.close()


async def _carry_out(node: Shown, wanted: MembersRequest) -> Mapping[str, Any]:
    asked = [wanted.admit is not None, wanted.remove is not None, wanted.retract is not None, wanted.leave]
    if sum(asked) != 1:
        raise NodeError("expected one of admit, remove, retract and leave")
    if wanted.admit is not None:
        return await node.admit(check_card(card_of(wanted.admit)))
    if wanted.remove is not None:
        return await node.remove(wanted.remove)
    if wanted.retract is not None:
        return await node.retract(wanted.retract)
    return await node.leave()


def _problem(status: int, text: str) -> Response:
    return JSONResponse({"error": text}, status)


async def _absent(_: Request, error: Exception) -> Response:
    return _problem(
        getattr(error, "status_code", 404), "there is nothing here; see docs/run-a-node.md for what there is"
    )


async def _defect(request: Request, error: Exception) -> Response:
    _LOG.error("a defect answering %s %s: %r", request.method, request.url.path, error)
    return _problem(500, "the node failed to answer; see its log")


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise NodeError(f"cannot listen on {host}:{port}: {error.strerror}; change api.listen in node.toml") from None
    return listener


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    check_private(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise NodeError(f"cannot use api.certificate {certificate} with api.key {key}: {error}") from None
    return context
