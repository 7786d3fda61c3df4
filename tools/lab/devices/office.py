"""What stands around medical devices: web pages, terminals, printers, shares, updates, small things that are polled.

What travels is noise of the sizes and in the order that such programs have; HTTP alone is spoken as it is.
"""

import contextlib
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from random import Random
from typing import Any

from tools.lab.devices.logins import read_line
from tools.lab.devices.service import receive, serve, wait

#: The most octets that one transfer moves, in one direction.
MOST_OCTETS = 4 << 20
_PIECE = 65_536


def web_server(settings: dict[str, Any], address: str, random: Random) -> None:
    """Answer requests of HTTP/1.1 with noise; some pages are elsewhere, gone, or as they were."""

    def talk(connection: socket.socket) -> None:
        while first := read_line(connection):
            while read_line(connection):
                pass
            wanted = min(int(first.split()[1].rpartition(b"/")[2]), MOST_OCTETS)
            status = random.choices(("200 OK", "304 Not Modified", "302 Found", "404 Not Found"), (20, 3, 1, 1))[0]
            body = random.randbytes(wanted) if status.startswith("200") else b""
            connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    _serve_ports(settings, address, talk)


def _serve_ports(settings: dict[str, Any], address: str, talk: Callable[[socket.socket], None]) -> None:
    """Serve all ports of the settings, at all addresses that this machine stands for."""
    for port in settings["ports"][1:]:
        threading.Thread(target=serve, args=("0.0.0.0", port, talk), daemon=True).start()
    serve("0.0.0.0", settings["ports"][0], talk)


def outside(settings: dict[str, Any], address: str, random: Random) -> None:
    """Stand for the world outside: have its addresses, behind this machine's MAC address."""
    for other in settings["addresses"]:
        subprocess.run(["ip", "addr", "add", f"{other}/32", "dev", "lo"], check=True)
    threading.Event().wait()


def route(settings: dict[str, Any], address: str, random: Random) -> None:
    """Send what goes to the world outside to its router."""
    words = ("ip", "route", "replace", settings["network"], "via", settings["router"])
    subprocess.run(words, check=True)
    threading.Event().wait()


def browser(settings: dict[str, Any], address: str, random: Random) -> None:
    """Open a page now and then: ask for names, then fetch its parts over several connections at a time."""
    while True:
        wait(settings, random)
        _ask_for_names(settings, random)
        shares = [random.randint(1, settings["parts"]) for _ in range(random.randint(1, settings["connections"]))]
        threads = [threading.Thread(target=_fetch, args=(settings, parts, random), daemon=True) for parts in shares]
        for thread in threads:
            thread.start()
            time.sleep(random.uniform(0, 0.05))
        for thread in threads:
            thread.join(20)


def _ask_for_names(settings: dict[str, Any], random: Random) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.settimeout(0.5)
        for _ in range(random.randint(0, settings["names"])):
            for kind in (1, 28):
                host = f"{random.getrandbits(48):x}".encode()
                question = struct.pack("!HHHHHH", random.getrandbits(16), 0x0100, 1, 0, 0, 0)
                question += bytes([len(host)]) + host + b"\x03org\0" + struct.pack("!HH", kind, 1)
                own.sendto(question, (settings["name server"], 53))
            with contextlib.suppress(TimeoutError):
                own.recv(2048)


def _fetch(settings: dict[str, Any], parts: int, random: Random) -> None:
    with (
        contextlib.suppress(OSError, EOFError),
        socket.create_connection((random.choice(settings["servers"]), settings["port"]), 10) as connection,
    ):
        if random.random() < settings["breaks off"]:
            # Closed with a reset, as where somebody has left the page.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for _ in range(parts):
            size = round(settings["smallest"] * (settings["largest"] / settings["smallest"]) ** random.random())
            fields = f"Host: {settings['servers'][0]}\r\nCookie: {'x' * random.randint(0, 300)}\r\n"
            connection.sendall(f"GET /{random.getrandbits(24):x}/{size} HTTP/1.1\r\n{fields}\r\n".encode())
            length = 0
            read_line(connection)
            while line := read_line(connection):
                length = int(line.partition(b":")[2]) if line.startswith(b"Content-Length") else length
            receive(connection, length)
            time.sleep(random.uniform(0, settings["pause"]))


def transfer_server(settings: dict[str, Any], address: str, random: Random) -> None:
    """Take as many octets as a request says, and give as many as it asks for, on several ports."""

    def talk(connection: socket.socket) -> None:
        while True:
            up, down = struct.unpack("!II", receive(connection, 8))
            _pass_over(connection, min(up, MOST_OCTETS))
            left = min(down, MOST_OCTETS)
            while left > 0:
                connection.sendall(random.randbytes(min(left, _PIECE)))
                left -= _PIECE

    _serve_ports(settings, address, talk)


def _pass_over(connection: socket.socket, count: int) -> None:
    while count > 0:
        if not (octets := connection.recv(min(count, _PIECE))):
            raise EOFError
        count -= len(octets)


def transfers(settings: dict[str, Any], address: str, random: Random) -> None:
    """Hold a session of requests and answers now and then: typing, pictures of a screen, files, prints, updates."""
    while True:
        wait(settings, random)
        with socket.create_connection((random.choice(settings["servers"]), settings["port"]), 10) as connection:
            for _ in range(random.randint(1, settings["times"])):
                up, down = (random.randint(*settings[way]) for way in ("up", "down"))
                connection.sendall(struct.pack("!II", up, down) + random.randbytes(up))
                _pass_over(connection, down)
                time.sleep(random.uniform(0, settings["pause"]))


def polled(settings: dict[str, Any], address: str, random: Random) -> None:
    """Answer each datagram on some ports with another one, or take it down alone."""

    def answer(port: int) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.bind((address, port))
            while True:
                asked, peer = own.recvfrom(2048)
                if settings["answers"]:
                    size = random.randint(*settings["sizes"]) if settings["answers"] == "noise" else len(asked)
                    own.sendto(random.randbytes(size), peer)

    for port in settings["ports"][1:]:
        threading.Thread(target=answer, args=(port,), daemon=True).start()
    answer(settings["ports"][0])


def polls(settings: dict[str, Any], address: str, random: Random) -> None:
    """Ask one machine after the other for its state, some questions in a row each."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        own.settimeout(0.3)
        while True:
            for server in settings["servers"]:
                for _ in range(random.randint(1, settings["questions"])):
                    own.sendto(random.randbytes(random.randint(*settings["sizes"])), (server, settings["port"]))
                    with contextlib.suppress(TimeoutError, ConnectionRefusedError):
                        own.recv(2048)
            wait(settings, random)
