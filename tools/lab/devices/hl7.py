"""HL7 v2 over MLLP (HL7 Implementation Support Guide, appendix C): a receiver, and devices that report to it."""

import socket
import time
from random import Random
from typing import Any

from tools.lab.devices.service import receive, serve, wait
from tools.lab.devices.vitals import measure

_BEGIN, _END = b"\x0b", b"\x1c\r"


def framed(segments: list[str]) -> bytes:
    """Return a message in MLLP's frame."""
    return _BEGIN + "".join(segment + "\r" for segment in segments).encode() + _END


def read_message(connection: socket.socket) -> bytes:
    """Read one framed message.

    Raises:
        EOFError: the peer ended the connection.
        ValueError: it is no such message, or too long.
    """
    octets = receive(connection, 1)
    if octets != _BEGIN:
        raise ValueError("a message begins otherwise")
    while not octets.endswith(_END):
        if not (more := connection.recv(4096)) or len(octets) > 1 << 20:
            raise EOFError
        octets += more
    return octets[1:-2]


def receiver(settings: dict[str, Any], address: str, random: Random) -> None:
    """Acknowledge messages; refuse a small share of them, as receivers do."""

    def talk(connection: socket.socket) -> None:
        while True:
            head = read_message(connection).split(b"\r", 1)[0].decode().split("|")
            code = "AE" if random.random() < settings["refuses"] else "AA"
            answer = ["MSH|^~\\&|HIS|H|" + "|".join(head[2:4]) + f"|{_now()}||ACK|{head[9]}|P|{head[11]}"]
            connection.sendall(framed([*answer, f"MSA|{code}|{head[9]}"]))

    serve(address, settings["port"], talk)


def device(settings: dict[str, Any], address: str, random: Random) -> None:
    """Report for ever, over one connection or over one for each message."""
    while True:
        with socket.create_connection((settings["server"], settings["port"]), 10) as connection:
            while True:
                connection.sendall(framed(_report(settings, random)))
                read_message(connection)
                wait(settings, random)
                if not settings["keeps"]:
                    break


def _report(settings: dict[str, Any], random: Random) -> list[str]:
    kind = random.choice(settings["types"])
    number = random.randrange(10**8)
    patient = random.randrange(10**6)
    values = measure(settings["fields"], random)
    return [
        f"MSH|^~\\&|{settings['name']}|WARD|HIS|H|{_now()}||{kind}|{number}|P|{settings['version']}",
        f"PID|1||{patient}^^^LAB||TEST^{patient % 97}",
        *(f"OBX|{n}|NM|{name.upper()}||{value}||||||F" for n, (name, value) in enumerate(values.items(), 1)),
    ]


def _now() -> str:
    return time.strftime("%Y%m%d%H%M%S")
