"""A door: accepts connections on listening sockets, each with a place in a room before it costs more than a descriptor.

A caller is a stranger until the port's owner moves its place to another room. Strangers whose address is one of a
member have a room of their own: others cannot take it from them.
"""

import asyncio
import contextlib
import socket
import ssl
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from medward.admission import RefusalListener, nobody
from medward.admission.rooms import Place, Room, network

_AT_ONCE = 8
"""Connections accepted in one turn of the loop; a room is far larger, so what they say at once is read before they can
be hung up on for others."""
_CROWDED_SECONDS = 0.01
_EXHAUSTED_SECONDS = 0.2
_SWEEP_SECONDS = 0.5
_BACKLOG = 2048
_MEMBERS, _ADDRESSES = 256, 4
_HANDSHAKE_SECONDS = 60.0
"""Above the life of any room of strangers, which ends a handshake first."""

NO_ROOM = "more callers than there are places"
TOO_SLOW = "a caller that showed nothing in time"


class Door:
    """Lets callers in. To be made, opened and closed in the loop that serves them.

    Args:
        listeners: bound sockets; the door listens on them, and closes them.
        make: gives the protocol of a connection, which must call the place's `leave` when the connection is lost.
        strangers: the room of those who come from anywhere.
        context: for TLS; None without.
        expected: the room of those who come from a member's address. Without it a stranger for whom there is no place
            waits outside, in the system's queue, and with it such a one is hung up on, so that the queue stays short.
        rooms: to be swept besides these two.
        refused: told of callers that are turned away.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        make: Callable[[Place], asyncio.Protocol],
        strangers: Room,
        *,
        context: ssl.SSLContext | None = None,
        expected: Room | None = None,
        rooms: Iterable[Room] = (),
        refused: RefusalListener = nobody,
    ) -> None:
        self._listeners = listeners
        self._make = make
        self._context = context
        self._strangers = strangers
        self._expected = expected
        self._rooms = (strangers, *(() if expected is None else (expected,)), *rooms)
        self._refused = refused
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[None]] = set()
        self._resuming: dict[socket.socket, asyncio.TimerHandle] = {}
        self._sweeping: asyncio.TimerHandle | None = None
        self._named: frozenset[str] = frozenset()
        self._came: OrderedDict[str, deque[str]] = OrderedDict()
        self._looking_up: asyncio.Task[None] | None = None
        self._held: set[socket.socket] = set()

    def open(self) -> None:
        """Listen."""
        for listener in self._listeners:
            listener.setblocking(False)
            listener.listen(_BACKLOG)
            self._loop.add_reader(listener, self._accept, listener)
        self._sweep()

    def close(self) -> None:
        """Listen no more, and hang up on everybody."""
        for timer in (*self._resuming.values(), *filter(None, [self._sweeping])):
            timer.cancel()
        for listener in self._listeners:
            self._loop.remove_reader(listener)
            listener.close()
        for connection in self._held:
            connection.close()
        if self._looking_up is not None:
            self._looking_up.cancel()

    def hang_up(self) -> None:
        """End every connection that was let in here."""
        for place in [place for room in self._rooms for place in room]:
            place.hang_up()

    async def wait_closed(self) -> None:
        """Return at once: nothing is left to wait for after `close`."""

    def expect(self, hosts: Iterable[str]) -> None:
        """Keep the room of expected callers for these hosts, besides the addresses from which members came.

        Args:
            hosts: addresses, or names, which are looked up.
        """
        if self._looking_up is not None:
            self._looking_up.cancel()
        self._looking_up = self._loop.create_task(self._look_up(frozenset(hosts)))

    async def _look_up(self, hosts: frozenset[str]) -> None:
        found = set()
        for host in sorted(hosts):
            with contextlib.suppress(OSError):
                for *_, address in await self._loop.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM):
                    found.add(network(str(address[0])))
        self._named = frozenset(found)

    def _introduce(self, member: str, address: str) -> None:
        """Expect a member where it came from; one that comes from everywhere is expected at a few addresses."""
        came = self._came.setdefault(member, deque(maxlen=_ADDRESSES))
        self._came.move_to_end(member)
        if network(address) not in came:
            came.append(network(address))
        if len(self._came) > _MEMBERS:
            self._came.popitem(last=False)

    def _is_expected(self, origin: str) -> bool:
        return origin in self._named or any(origin in came for came in self._came.values())

    # Accepting.

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, peer = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                # No descriptor or no memory: the caller stays in the queue, so looking again at once would spin.
                self._refused("no descriptor is left for a caller", error.strerror or type(error).__name__)
                self._strangers.shed()
                self._pause(listener, _EXHAUSTED_SECONDS)
                return
            if not self._admit(connection, str(peer[0])):
                if self._expected is None:
                    self._keep_waiting(listener, connection, str(peer[0]))
                    return
                connection.close()
                self._refused(NO_ROOM, str(peer[0]))
                self._pause(listener, _CROWDED_SECONDS)

    def _pause(self, listener: socket.socket, seconds: float) -> None:
        if listener not in self._resuming:
            self._loop.remove_reader(listener)
            self._resuming[listener] = self._loop.call_later(seconds, self._resume, listener)

    def _resume(self, listener: socket.socket) -> None:
        del self._resuming[listener]
        self._loop.add_reader(listener, self._accept, listener)

    def _keep_waiting(self, listener: socket.socket, connection: socket.socket, address: str) -> None:
        """Accept nobody else until there is a place for this one."""
        if listener not in self._resuming:
            self._loop.remove_reader(listener)
            self._held.add(connection)
            self._refused("callers who wait for a place", address)
        elif self._admit(connection, address):
            self._held.discard(connection)
            self._resume(listener)
            return
        again = self._loop.call_later(_CROWDED_SECONDS, self._keep_waiting, listener, connection, address)
        self._resuming[listener] = again

    def _admit(self, connection: socket.socket, address: str) -> bool:
        origin = network(address)
        room = self._strangers
        if self._expected is not None and self._is_expected(origin):
            room = self._expected
        caller = _Caller(connection)
        place = Place(address, caller.cut, self._introduce)
        displaced = room.displaced
        if not room.enter(place, origin):
            return False
        if room.displaced > displaced:
            self._refused("a stranger made room for another", address)
        connection.setblocking(False)
        task = self._loop.create_task(self._open_for(caller, place))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        return True

    async def _open_for(self, caller: "_Caller", place: Place) -> None:
        tls: dict[str, Any] = {}
        if self._context is not None:
            tls = {"ssl": self._context, "ssl_handshake_timeout": _HANDSHAKE_SECONDS}
        try:
            transport, _ = await self._loop.connect_accepted_socket(lambda: self._make(place), caller.connection, **tls)
        except ssl.SSLCertVerificationError as error:
            self._refused("a caller's certificate is no member's", f"{place.address}: {error.verify_message}")
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            pass
        except ssl.SSLError as error:
            reason = (error.reason or "unknown").lower().replace("_", " ")
            self._refused("a caller's handshake failed", f"{place.address}: {reason}")
        except (OSError, TimeoutError, asyncio.CancelledError):
            pass  # it hung up, or was hung up on
        else:
            caller.transport = transport
            return
        place.leave()

    def _sweep(self) -> None:
        for room in self._rooms:
            for address in room.sweep():
                self._refused(TOO_SLOW, address)
        self._sweeping = self._loop.call_later(_SWEEP_SECONDS, self._sweep)


class _Caller:
    """A connection, with TLS or before it."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.transport: asyncio.Transport | None = None

    def cut(self) -> None:
        if self.transport is not None:
            self.transport.abort()
        else:
            # Whoever shakes hands on it finds that the caller is gone, and closes it.
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
