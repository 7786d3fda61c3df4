"""The intruder's end of an exfiltration: takes what comes over TCP and DNS, and forgets it."""

import socket
import threading
from random import Random
from typing import Any

from tools.lab.devices.service import serve

_NO_SUCH_NAME = b"\x81\x83"


def collector(settings: dict[str, Any], address: str, random: Random) -> None:
    """Take records on one TCP port, and on UDP's port 53."""
    threading.Thread(target=_answer_names, args=(address,), daemon=True).start()

    def talk(connection: socket.socket) -> None:
        while octets := connection.recv(65_536):
            if octets.startswith(b"POST "):
                connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    serve(address, settings["port"], talk)


def _answer_names(address: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind((address, 53))
        while True:
            asked, peer = udp.recvfrom(2048)
            udp.sendto(asked[:2] + _NO_SUCH_NAME + asked[4:], peer)
