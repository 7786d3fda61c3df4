"""The listening side of a replica: who calls, as what, and how many of whom there is room for."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple, Self

from medward.admission import RefusalListener, nobody
from medward.admission.door import NO_ROOM, Door
from medward.admission.rooms import Place, Room, network
from medward.ledger.errors import NotCanonical
from medward.ledger.pbft.identity import CLIENT_PROTOCOL
from medward.ledger.pbft.runtime.transport import note_end
from medward.ledger.types import Member

_STRANGERS, _EXPECTED, _ANONYMOUS, _MEMBERS = 48, 48, 64, 128
LEDGER_PLACES = _STRANGERS + _EXPECTED + _ANONYMOUS + _MEMBERS
"""Most connections that the listening side of one replica holds open at a time."""
_EACH_MEMBER = 6
_GRACE_SECONDS, _HANDSHAKE_SECONDS, _IDLE_SECONDS = 1.0, 10.0, 60.0
_READ_AHEAD = 2**16
"""Twice as many bytes are read from a connection before somebody wants them; a frame that is waited for comes whole."""

Handler = Callable[["Caller"], Awaitable[None]]


class Caller:
    """Who called, and the connection.

    Args:
        name: the member whose certificate was shown, None for a client without one.
        as_client: whether it comes to ask and to hand in, and not as another replica.
        reader: what it says.
        writer: what it is told.
        place: of the connection; it is touched whenever the caller says something of use.
    """

    def __init__(
        self,
        name: str | None,
        as_client: bool,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        place: Place,
    ) -> None:
        self.name, self.as_client, self.place = name, as_client, place
        self.reader, self.writer = reader, writer


class ListenerRooms(NamedTuple):
    """Where callers have their places.

    Args:
        strangers: who have not finished their handshake, from anywhere.
        expected: the same from a member's address.
        anonymous: clients without a certificate.
        members: members, as replicas and as clients.
    """

    strangers: Room
    expected: Room
    anonymous: Room
    members: Room

    @classmethod
    def of(cls, share: float = 1.0) -> Self:
        """Return rooms with this share of their usual places, `LEDGER_PLACES` in all."""
        usual = (_STRANGERS, _EXPECTED, _ANONYMOUS, _MEMBERS)
        strangers, expected, anonymous, members = (max(4, int(share * places)) for places in usual)
        return cls(
            Room(strangers, max(2, strangers // 6), grace=_GRACE_SECONDS, life=_HANDSHAKE_SECONDS),
            Room(expected, 2 * expected // 3, grace=_GRACE_SECONDS, life=_HANDSHAKE_SECONDS),
            Room(anonymous, 3 * anonymous // 4, grace=_GRACE_SECONDS, life=_IDLE_SECONDS),
            Room(members, _EACH_MEMBER, known=True),
        )


class Listener:
    """Takes calls, and finds out from the certificate which member calls, or that it is a client.

    Args:
        context: from `NodeIdentity.server_context`.
        handle: serves a caller until it returns or the connection ends.
        who: the name of the member with that certificate (DER), None for a stranger, who is hung up on.
        refused: told of callers that are turned away.
        rooms: places for callers; the usual ones where None.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        handle: Handler,
        who: Callable[[bytes], str | None],
        refused: RefusalListener = nobody,
        rooms: ListenerRooms | None = None,
    ) -> None:
        self._refused = refused
        self._context = context
        self._handle = handle
        self._who = who
        self._rooms = rooms or ListenerRooms.of()
        self._hosts: tuple[str, ...] = ()
        self._door: Door | None = None

    def trust(self, member: Member) -> None:
        """Accept this member's certificate in new connections; `who` still decides whether it counts."""
        self._context.load_verify_locations(cadata=member.certificate)

    def expect(self, members: Iterable[Member]) -> None:
        """Keep places for callers from these members' addresses."""
        self._hosts = tuple(member.address.rpartition(":")[0] for member in members)
        if self._door is not None:
            self._door.expect(self._hosts)

    async def start(self, address: str) -> None:
        """Listen on host:port; OSError where that cannot be had."""
        host, _, port = address.rpartition(":")
        rooms = self._rooms
        self._door = Door(
            await _bind(host.strip("[]"), int(port)),
            self._protocol,
            rooms.strangers,
            context=self._context,
            expected=rooms.expected,
            rooms=(rooms.anonymous, rooms.members),
            refused=self._refused,
        )
        self._door.open()
        self._door.expect(self._hosts)

    async def close(self) -> None:
        """Stop listening and hang up on everybody."""
        if self._door is not None:
            self._door.close()
            self._door.hang_up()

    def _protocol(self, place: Place) -> asyncio.Protocol:
        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Awaitable[None]:
            return self._accept(reader, writer, place)

        return _Stream(asyncio.StreamReader(limit=_READ_AHEAD), accept, place)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, place: Place) -> None:
        try:
            tls_side = writer.get_extra_info("ssl_object")
            shown = tls_side.getpeercert(binary_form=True)
            name = None if shown is None else self._who(shown)
            if shown is not None and name is None:
                self._refused("a caller's certificate is no present member's", place.address)
                return
            as_client = name is None or tls_side.selected_alpn_protocol() == CLIENT_PROTOCOL
            room, key = self._rooms.anonymous, network(place.address)
            if name is not None:
                # As a client a member has places of its own: they must not cost it the one that it votes on.
                room, key = self._rooms.members, f"{name}, asking" if as_client else name
            if not place.move(room, key):
                self._refused(NO_ROOM, place.address)
                return
            await self._handle(Caller(name, as_client, reader, writer, place))
        except TimeoutError:
            # What it does not read would keep a connection that is closed politely.
            writer.transport.abort()
        except OSError:
            await note_end(writer)
        except (asyncio.IncompleteReadError, NotCanonical, asyncio.CancelledError):
            # Cancelled only when the whole process ends; asyncio's streams would print a traceback for it.
            pass
        finally:
            writer.close()


class _Stream(asyncio.StreamReaderProtocol):
    """Streams over a connection with a place."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        accept: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
        place: Place,
    ) -> None:
        super().__init__(reader, accept)
        self._place = place

    def connection_lost(self, exc: Exception | None) -> None:
        self._place.leave()
        super().connection_lost(exc)


async def _bind(host: str, port: int) -> list[socket.socket]:
    """Return sockets that are bound to every address of a host."""
    found = await asyncio.get_running_loop().getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    bound: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            listener = socket.socket(family, kind, protocol)
            bound.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(address)
    except OSError:
        for listener in bound:
            listener.close()
        raise
    return bound
