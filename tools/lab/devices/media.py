"""Pictures and voices: cameras that speak RTSP (RFC 2326) and send RTP (RFC 3550), who records them, and calls."""

import contextlib
import socket
import struct
import threading
import time
from random import Random
from typing import Any

from tools.lab.devices.logins import read_line
from tools.lab.devices.service import receive, serve, wait

_FIRST_PORT = 20_000


def _packet(number: int, size: int, random: Random) -> bytes:
    """Return an RTP packet with so many octets of noise."""
    return struct.pack("!BBHII", 0x80, 96, number & 0xFFFF, number * 3_000 & 0xFFFFFFFF, 7) + random.randbytes(size)


def _head(connection: socket.socket) -> tuple[str, dict[str, str]]:
    """Return a request's or an answer's first line, and its fields; the content is passed over."""
    first, fields = read_line(connection).decode("latin-1"), {}
    while line := read_line(connection).decode("latin-1"):
        name, _, value = line.partition(":")
        fields[name.lower()] = value.strip()
    receive(connection, min(int(fields.get("content-length", 0)), 4_096))
    return first, fields


def rtsp_camera(settings: dict[str, Any], address: str, random: Random) -> None:
    """Send pictures to whoever asks for them, over the connection of the request or over UDP."""

    def talk(connection: socket.socket) -> None:
        transport = ""
        while True:
            first, fields = _head(connection)
            content = "v=0\r\n" + "a=" * random.randint(20, 200) if first.startswith("DESCRIBE") else ""
            transport = fields.get("transport", transport)
            answer = f"RTSP/1.0 200 OK\r\nCSeq: {fields.get('cseq', '0')}\r\nSession: {random.getrandbits(32):x}\r\n"
            connection.sendall(f"{answer}Content-Length: {len(content)}\r\n\r\n{content}".encode())
            if first.startswith("PLAY"):
                told = (connection, transport, settings, random)
                threading.Thread(target=_play, args=told, daemon=True).start()
            elif first.startswith("TEARDOWN"):
                return

    serve(address, settings["port"], talk)


def _play(connection: socket.socket, transport: str, settings: dict[str, Any], random: Random) -> None:
    """Send picture after picture, each in as many packets as it takes, until the connection ends."""
    number, port = random.getrandbits(15), int(transport.partition("client_port=")[2].partition("-")[0] or 0)
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        while connection.fileno() >= 0:
            left = round(random.gauss(settings["picture"], settings["picture"] / 4))
            while left > 0:
                packet = _packet(number, min(left, settings["largest"]), random)
                if port:
                    datagrams.sendto(packet, (connection.getpeername()[0], port))
                else:
                    connection.sendall(struct.pack("!cBH", b"$", 0, len(packet)) + packet)
                number, left = number + 1, left - settings["largest"]
            time.sleep(1 / settings["rate"])


def recorder(settings: dict[str, Any], address: str, random: Random) -> None:
    """Record a camera for a while, again and again; a sign of life goes to it every few seconds."""
    while True:
        with (
            socket.create_connection((settings["server"], settings["port"]), 10) as connection,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        ):
            port = random.randrange(_FIRST_PORT, _FIRST_PORT + 20_000, 2)
            datagrams.bind((address, port))
            way = f"RTP/AVP;unicast;client_port={port}-{port + 1}" if settings["datagrams"] else "RTP/AVP/TCP"
            for number, method in enumerate(("OPTIONS", "DESCRIBE", "SETUP", "PLAY"), 1):
                _ask(connection, method, number, settings, f"Transport: {way}\r\n" if method == "SETUP" else "")
                _head(connection)
            _record(connection, datagrams, settings, random)
            _ask(connection, "TEARDOWN", 9, settings)
        wait(settings, random)


def _ask(connection: socket.socket, method: str, number: int, settings: dict[str, Any], fields: str = "") -> None:
    where = f"rtsp://{settings['server']}/{settings['path']}"
    connection.sendall(f"{method} {where} RTSP/1.0\r\nCSeq: {number}\r\n{fields}\r\n".encode())


def _record(connection: socket.socket, datagrams: socket.socket, settings: dict[str, Any], random: Random) -> None:
    """Take what comes for a drawn time."""
    taken = datagrams if settings["datagrams"] else connection
    taken.settimeout(2)
    end, alive, number = time.monotonic() + random.uniform(*settings["lasts"]), time.monotonic(), 5
    while time.monotonic() < end:
        taken.recv(65_536)
        if time.monotonic() - alive > settings["alive"]:
            alive, number = time.monotonic(), number + 1
            _ask(connection, "GET_PARAMETER", number, settings)


def caller(settings: dict[str, Any], address: str, random: Random) -> None:
    """Call somebody for a while: as many packets of voice a second go there as come back."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.setblocking(False)
        while True:
            end, number = time.monotonic() + random.uniform(*settings["lasts"]), 0
            while time.monotonic() < end:
                own.sendto(_packet(number, settings["size"], random), (settings["server"], settings["port"]))
                with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
                    while own.recv(2048):
                        pass
                number += 1
                time.sleep(settings["every"])
            wait(settings, random)
