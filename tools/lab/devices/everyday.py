"""What machines of all kinds do besides their work: names, clocks, sessions, streams; and a gateway."""

import contextlib
import socket
import struct
import threading
import time
from pathlib import Path
from random import Random
from typing import Any

from tools.lab.devices.service import receive, serve, wait
from tools.lab.frames import octets_of

_ANSWER, _MULTICAST_DNS, _SSDP = b"\x81\x80", ("224.0.0.251", 5353), ("239.255.255.250", 1900)
_SEARCH = b'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\nMX: 2\r\nST: ssdp:all\r\n\r\n'
_LONGEST = 12_000


def gateway(settings: dict[str, Any], address: str, random: Random) -> None:
    """Forward what machines send each other that may speak through the gateway alone."""
    settings_of = Path("/proc/sys/net/ipv4")
    for name in ("all", "eth0"):
        (settings_of / "conf" / name / "send_redirects").write_text("0")
    (settings_of / "ip_forward").write_text("1")
    threading.Event().wait()


def name_server(settings: dict[str, Any], address: str, random: Random) -> None:
    """Answer every question with one address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, settings["port"]))
        while True:
            asked, peer = server.recvfrom(2048)
            head = asked[:2] + _ANSWER + struct.pack("!HHHH", 1, 1, 0, 0)
            record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 300, 4) + octets_of(address)
            server.sendto(head + asked[12:] + record, peer)


def time_server(settings: dict[str, Any], address: str, random: Random) -> None:
    """Tell the time (RFC 5905's packet, whose fields nobody reads here)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, settings["port"]))
        while True:
            asked, peer = server.recvfrom(512)
            server.sendto(b"\x24\x02" + asked[2:40] + struct.pack("!II", int(time.time()) + 2_208_988_800, 0), peer)


def names(settings: dict[str, Any], address: str, random: Random) -> None:
    """Ask for names, a few in a row, from a server or from all others."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind((address, 0))
        own.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, octets_of(address))
        own.settimeout(0.5)
        while True:
            for _ in range(random.randint(1, settings["burst"])):
                host = f"{random.getrandbits(32):x}".encode()
                question = struct.pack("!HHHHHH", random.getrandbits(16), 0x0100, 1, 0, 0, 0)
                question += bytes([len(host)]) + host + b"\x05local\0" + struct.pack("!HH", random.choice((1, 28)), 1)
                match settings["way"]:
                    case "server":
                        own.sendto(question, (settings["server"], 53))
                        with contextlib.suppress(TimeoutError):
                            own.recv(2048)
                    case "all":
                        own.sendto(question, _MULTICAST_DNS)
                    case _:
                        own.sendto(_SEARCH, _SSDP)
            wait(settings, random)


def clock(settings: dict[str, Any], address: str, random: Random) -> None:
    """Ask for the time."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.settimeout(1)
        while True:
            own.sendto(b"\x23" + bytes(47), (settings["server"], 123))
            with contextlib.suppress(TimeoutError):
                own.recv(512)
            wait(settings, random)


def app_server(settings: dict[str, Any], address: str, random: Random) -> None:
    """Answer noise, as many octets as are asked for, on several ports."""

    def talk(connection: socket.socket) -> None:
        while asked := connection.recv(65_536):
            if len(asked) >= 4:
                connection.sendall(random.randbytes(min(struct.unpack("!I", asked[:4])[0], _LONGEST)))

    for port in settings["ports"][1:]:
        threading.Thread(target=serve, args=(address, port, talk), daemon=True).start()
    serve(address, settings["ports"][0], talk)


def sessions(settings: dict[str, Any], address: str, random: Random) -> None:
    """Hold short sessions with a server, some in bursts of several; one of its ports may be closed."""
    while True:
        for _ in range(random.randint(1, settings["burst"])):
            port = random.choice(settings["ports"])
            with contextlib.suppress(ConnectionRefusedError):
                _session(settings, port, random)
        wait(settings, random)


def _session(settings: dict[str, Any], port: int, random: Random) -> None:
    with socket.create_connection((settings["server"], port), 5) as connection:
        for _ in range(random.randint(1, settings["exchanges"])):
            wanted = random.randrange(20, settings["longest"])
            connection.sendall(struct.pack("!I", wanted) + random.randbytes(random.randint(10, 500)))
            receive(connection, wanted)
            time.sleep(random.uniform(0, 0.1))


def stream(settings: dict[str, Any], address: str, random: Random) -> None:
    """Stream to a server that takes nothing down, as a camera does; its kernel says so once in a while."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                own.sendto(random.randbytes(random.randint(*settings["sizes"])), (settings["server"], settings["port"]))
            wait(settings, random)


def sink(settings: dict[str, Any], address: str, random: Random) -> None:
    """Take streams."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind((address, settings["port"]))
        while True:
            own.recv(2048)
