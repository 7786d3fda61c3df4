"""Services that people log in to, FTP (RFC 959) and SSH up to its key exchange (RFC 4253), and an engineer who does."""

import contextlib
import socket
import time
from random import Random
from typing import Any

from tools.lab.devices.service import receive, serve, wait
from tools.lab.frames import icmp_echo

_GREETING = b"220 ready\r\n"


def read_line(connection: socket.socket) -> bytes:
    """Read a line of at most 512 octets, without its end.

    Raises:
        EOFError: the peer ended the connection.
    """
    line = b""
    while not line.endswith(b"\n") and len(line) < 512:
        line += receive(connection, 1)
    return line.rstrip(b"\r\n")


def ftp_server(settings: dict[str, Any], address: str, random: Random) -> None:
    """Log in one user; give files of noise in passive mode."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(_GREETING)
        user = ""
        knows = False
        data: socket.socket | None = None
        while True:
            command, _, argument = read_line(connection).decode("latin-1").partition(" ")
            match command.upper():
                case "USER":
                    user = argument
                    connection.sendall(b"331 password?\r\n")
                case "PASS":
                    knows = (user, argument) == (settings["user"], settings["password"])
                    connection.sendall(b"230 welcome\r\n" if knows else b"530 not logged in\r\n")
                case "PASV" if knows:
                    data = socket.create_server((address, 0))
                    high, low = divmod(data.getsockname()[1], 256)
                    where = f"{address.replace('.', ',')},{high},{low}"
                    connection.sendall(f"227 entering passive mode ({where})\r\n".encode())
                case "RETR" if knows and data is not None:
                    connection.sendall(b"150 here it comes\r\n")
                    data.settimeout(5)
                    with data, data.accept()[0] as peer:
                        peer.sendall(random.randbytes(min(int(argument), 1 << 20)))
                    connection.sendall(b"226 done\r\n")
                case "QUIT":
                    connection.sendall(b"221 goodbye\r\n")
                    return
                case _:
                    connection.sendall(b"530 log in first\r\n" if not knows else b"502 not here\r\n")

    serve(address, settings["port"], talk)


def ftp_client(settings: dict[str, Any], address: str, random: Random) -> None:
    """Fetch a file now and then."""
    while True:
        wait(settings, random)
        with socket.create_connection((settings["server"], settings["port"]), 10) as connection:
            read_line(connection)
            for command in (f"USER {settings['user']}", f"PASS {settings['password']}", "PASV"):
                connection.sendall(f"{command}\r\n".encode())
                answer = read_line(connection).decode()
            *octets, high, low = answer.partition("(")[2].rstrip(")").split(",")
            connection.sendall(f"RETR {settings['bytes']}\r\n".encode())
            with socket.create_connection((".".join(octets), int(high) * 256 + int(low)), 10) as data:
                while data.recv(65_536):
                    pass
            read_line(connection)
            read_line(connection)
            connection.sendall(b"QUIT\r\n")
            read_line(connection)


def key_exchange(random: Random) -> bytes:
    """Return an SSH packet as long as a KEXINIT, of noise."""
    length = random.randint(900, 1_500)
    return length.to_bytes(4, "big") + bytes([8, 20]) + random.randbytes(length - 2)


def ssh_server(settings: dict[str, Any], address: str, random: Random) -> None:
    """Greet, exchange keys of noise, and answer what follows with noise of the lengths that logins have."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(f"SSH-2.0-{settings['banner']}\r\n".encode())
        read_line(connection)
        connection.sendall(key_exchange(random))
        while connection.recv(4096):
            connection.sendall(random.randbytes(random.randint(40, 120)))

    serve(address, settings["port"], talk)


def ssh_client(settings: dict[str, Any], address: str, random: Random) -> None:
    """Open a session now and then, and type in it."""
    while True:
        wait(settings, random)
        with socket.create_connection((settings["server"], settings["port"]), 10) as connection:
            read_line(connection)
            connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n" + key_exchange(random))
            connection.recv(4096)
            for _ in range(random.randint(5, 40)):
                connection.sendall(random.randbytes(random.randint(36, 100)))
                connection.recv(4096)
                time.sleep(random.uniform(0.05, 0.4))


def watcher(settings: dict[str, Any], address: str, random: Random) -> None:
    """Ask a few machines whether they are there, as a monitoring system does."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as icmp:
        while True:
            for number, target in enumerate(settings["addresses"]):
                icmp.sendto(icmp_echo(random.randrange(65_536), number, bytes(48)), (target, 0))
                time.sleep(random.uniform(0.02, 0.5))
            icmp.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while icmp.recv(2048):
                    pass
            icmp.setblocking(True)
            wait(settings, random)
