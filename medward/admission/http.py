"""An HTTP server behind a door: uvicorn's, with the deadlines that it lacks for heads, bodies and slow readers."""

import asyncio
import contextlib
import logging
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from medward.admission import RefusalListener, nobody
from medward.admission.door import Door
from medward.admission.rooms import Place, Room

_HEAD_BYTES = 16 * 1024
_LOOK_SECONDS = 1.0
_TICKS = 10
_REPORTED = frozenset(("Invalid HTTP request received.", "Unsupported upgrade request."))

Greet = Callable[[Place, asyncio.Transport], bool]
"""Is shown each new connection, after its handshake; may move its place. False where it was hung up on."""


class CallerTimeouts(NamedTuple):
    """How long, in seconds, a caller may take.

    Args:
        head: for a request up to its empty line.
        body: for what follows.
        idle: between two requests.
        stalled: without reading on while an answer waits for it to be read.
    """

    head: float = 10.0
    body: float = 20.0
    idle: float = 15.0
    stalled: float = 20.0


class HttpServer(uvicorn.Server):
    """Serves a web application on bound sockets.

    Args:
        application: what answers. The place of a request's connection is in its scope, under state and place.
        strangers: see `Door`; so are `expected`, `rooms` and `refused`.
        context: for TLS; None without.
        patience: with slow callers.
        greet: see `Greet`.
    """

    def __init__(
        self,
        application: ASGIApp,
        strangers: Room,
        *,
        context: ssl.SSLContext | None = None,
        expected: Room | None = None,
        rooms: tuple[Room, ...] = (),
        refused: RefusalListener = nobody,
        patience: CallerTimeouts = CallerTimeouts(),  # noqa: B008  (it cannot change)
        greet: Greet = lambda _place, _transport: True,
    ) -> None:
        logging.getLogger("uvicorn.error").addFilter(_without_what_is_reported)
        config = uvicorn.Config(
            application,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            http=_Connection,
            ws="none",
            timeout_keep_alive=0 if patience.idle < 1 else int(patience.idle),
            timeout_graceful_shutdown=2,
            h11_max_incomplete_event_size=_HEAD_BYTES,
        )
        config.load()
        super().__init__(config)
        self.patience, self.refused, self.greet = patience, refused, greet
        self.door: Door | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self._rooms = (strangers, expected, rooms)
        self._context = context
        self._ticked = time.monotonic()

    @property
    def silent_seconds(self) -> float:
        """How long ago the server's loop was seen to work."""
        return time.monotonic() - self._ticked

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the door; see `uvicorn.Server`."""
        await self.lifespan.startup()
        strangers, expected, rooms = self._rooms
        self.door = Door(
            sockets or [],
            self._connection,
            strangers,
            context=self._context,
            expected=expected,
            rooms=rooms,
            refused=self.refused,
        )
        self.door.open()
        self.loop = asyncio.get_running_loop()
        self.servers: list[Any] = [self.door]
        self.started = True

    async def on_tick(self, counter: int) -> bool:
        """Hang up on those who take too long; see `uvicorn.Server`."""
        self._ticked = now = time.monotonic()
        for connection in list(self.server_state.connections) if counter % _TICKS == 0 else ():
            if isinstance(connection, _Connection):
                connection.look(now)
        return await super().on_tick(counter)

    def _connection(self, place: Place) -> asyncio.Protocol:
        return _Connection(self.config, self.server_state, {"place": place, "server": self})


class _Connection(H11Protocol):
    """One connection, whose `look` is called about once a second."""

    def __init__(self, config: uvicorn.Config, server_state: Any, app_state: dict[str, Any], **options: Any) -> None:
        self._hall: HttpServer = app_state.pop("server")
        super().__init__(config, server_state, app_state, **options)
        self._place: Place = app_state["place"]
        self._stage: tuple[Any, ...] = ()
        self._since = time.monotonic()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._hall.greet(self._place, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._place.leave()
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        self._since = time.monotonic()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        self._hall.refused("what is no HTTP request", self._place.address)
        super().send_400_response(msg)

    def look(self, now: float) -> None:
        """Hang up where one step of the exchange takes too long."""
        closing, stalled = self.transport.is_closing(), self.flow.write_paused
        theirs, ours = self.conn.their_state, self.conn.our_state
        stage = (closing, stalled, theirs, ours, self.cycle)
        if stage != self._stage:
            self._stage, self._since = stage, now
            if self._place.room is not None and self._place.room.known:
                self._place.touch()
            return
        patience = self._hall.patience
        if closing or stalled:
            limit, what = patience.stalled, "a caller that did not read its answer"
        elif theirs is h11.SEND_BODY:
            limit, what = patience.body, "half a request"
        elif theirs is h11.IDLE:
            limit, what = patience.head + (0 if self.cycle is None else patience.idle), "half a request"
        else:
            return
        if now - self._since > limit:
            self._hall.refused(what, self._place.address)
            self.transport.abort()


def _without_what_is_reported(record: logging.LogRecord) -> bool:
    """Keep lines of callers' mistakes out of the log: they are told of by `refused`, which does not flood it."""
    return record.msg not in _REPORTED and not str(record.msg).startswith("No supported WebSocket library")
