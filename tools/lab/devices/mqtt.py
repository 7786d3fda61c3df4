"""MQTT 3.1.1 (OASIS): a small broker, and sensors that publish vital signs."""

import socket
import struct
import threading
from random import Random
from typing import Any

from tools.lab.devices.service import receive, serve, wait
from tools.lab.devices.vitals import encode, measure

_CONNECT, _CONNACK, _PUBLISH, _PUBACK, _SUBSCRIBE, _SUBACK, _PING, _PONG = 1, 2, 3, 4, 8, 9, 12, 13
_LONGEST = 256 * 1024


def text(value: str) -> bytes:
    """Return a string as MQTT writes it: its length, then UTF-8."""
    octets = value.encode()
    return struct.pack("!H", len(octets)) + octets


def packet(kind: int, body: bytes, flags: int = 0) -> bytes:
    """Return a control packet."""
    length, octets = len(body), b""
    while True:
        length, low = divmod(length, 128)
        octets += bytes([low | (128 if length else 0)])
        if not length:
            return bytes([kind << 4 | flags]) + octets + body


def connect_packet(client: str, user: str | None = None, password: str | None = None, keep_alive: int = 60) -> bytes:
    """Return a CONNECT, with or without a login."""
    flags = 0x02 if user is None else 0xC2
    body = text("MQTT") + bytes([4, flags]) + struct.pack("!H", keep_alive) + text(client)
    return packet(_CONNECT, body if user is None else body + text(user) + text(password or ""))


def read_packet(connection: socket.socket) -> tuple[int, int, bytes]:
    """Read one control packet: its kind, its flags, its body.

    Raises:
        EOFError: the peer ended the connection.
        ValueError: its length is malformed, or too long.
    """
    first = receive(connection, 1)[0]
    length = 0
    for place in range(4):
        octet = receive(connection, 1)[0]
        length |= (octet & 127) << (7 * place)
        if octet < 128:
            break
    else:
        raise ValueError("the length of a control packet goes on")
    if length > _LONGEST:
        raise ValueError("a control packet is too long")
    return first >> 4, first & 15, receive(connection, length)


def _texts(body: bytes, at: int) -> list[str]:
    found = []
    while at + 2 <= len(body):
        length = struct.unpack_from("!H", body, at)[0]
        found.append(body[at + 2 : at + 2 + length].decode())
        at += 2 + length
    return found


def broker(settings: dict[str, Any], address: str, random: Random) -> None:
    """Serve clients that log in; hand what they publish to those that subscribed to a topic that begins so."""
    listeners: dict[socket.socket, list[str]] = {}
    lock = threading.Lock()

    def publish(topic: str, octets: bytes) -> None:
        with lock:
            found = [peer for peer, begins in listeners.items() if any(topic.startswith(begin) for begin in begins)]
        for peer in found:
            peer.sendall(octets)

    def talk(connection: socket.socket) -> None:
        kind, _, body = read_packet(connection)
        if kind != _CONNECT or len(body) < 12 or body[2:6] != b"MQTT":
            return
        words = _texts(body, 10)
        knows = body[7] & 0xC0 == 0xC0 and len(words) >= 3 and settings["accounts"].get(words[-2]) == words[-1]
        connection.sendall(packet(_CONNACK, bytes([0, 0 if knows else 5])))
        if not knows:
            return
        try:
            while _answer(connection, listeners, lock, publish):
                pass
        finally:
            with lock:
                listeners.pop(connection, None)

    serve(address, settings["port"], talk)


def _answer(connection: socket.socket, listeners: Any, lock: threading.Lock, publish: Any) -> bool:
    kind, flags, body = read_packet(connection)
    if kind == _PUBLISH:
        topic = _texts(body[: 2 + struct.unpack_from("!H", body)[0]], 0)[0]
        if flags & 6:
            begin = 2 + len(topic.encode())
            connection.sendall(packet(_PUBACK, body[begin : begin + 2]))
            body = body[:begin] + body[begin + 2 :]
        publish(topic, packet(_PUBLISH, body))
    elif kind == _SUBSCRIBE:
        topic = _texts(body[2:-1], 0)[0]
        with lock:
            listeners.setdefault(connection, []).append(topic.rstrip("#"))
        connection.sendall(packet(_SUBACK, body[:2] + b"\0"))
    elif kind == _PING:
        connection.sendall(packet(_PONG, b""))
    else:
        return kind == _PUBACK
    return True


def sensor(settings: dict[str, Any], address: str, random: Random) -> None:
    """Publish vital signs until the connection is lost; lose it on purpose now and then."""
    number = random.randrange(1, 1000)
    while True:
        wrong = settings["forgets"] and random.random() < 0.5
        with socket.create_connection((settings["server"], settings["port"]), 10) as connection:
            password = settings["password"][::-1] if wrong else settings["password"]
            connection.sendall(connect_packet(settings["client"], settings["user"], password, random.choice((30, 60))))
            if receive(connection, 4)[3] != 0:
                wait(settings, random)
                continue
            if settings["subscribes"]:
                topic = settings["topics"][0].rsplit("/", 1)[0] + "/#"
                connection.sendall(packet(_SUBSCRIBE, b"\0\1" + text(topic) + b"\0", 2))
            threading.Thread(target=_drain, args=(connection,), daemon=True).start()
            while random.random() >= settings["reconnects"]:
                number = number % 65_535 + 1
                payload = encode(settings["format"], measure(settings["fields"], random), settings["client"])
                head = text(random.choice(settings["topics"]))
                identifier = struct.pack("!H", number) if settings["qos"] else b""
                connection.sendall(packet(_PUBLISH, head + identifier + payload, 2 * settings["qos"]))
                if random.random() < 0.02:
                    connection.sendall(packet(_PING, b""))
                wait(settings, random)


def _drain(connection: socket.socket) -> None:
    try:
        while connection.recv(65_536):
            pass
    except OSError:
        pass
