"""A host with loss takes all that it is sent, in order, and its peer has to send some of it again."""

import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
import socket, struct, sys, threading
from tools.lab.loss import lose
if float(sys.argv[1]):
    lose(float(sys.argv[1]))
server = socket.create_server(("127.0.0.1", 0))
sent = bytes(range(256)) * 4000
again = []

def give():
    connection = server.accept()[0]
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1000)
    for start in range(0, len(sent), 1000):
        connection.sendall(sent[start:start + 1000])
    connection.shutdown(socket.SHUT_WR)
    connection.recv(1)
    information = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    again.append(struct.unpack_from("=I", information, 100)[0])
    connection.close()

thread = threading.Thread(target=give)
thread.start()
taken = b""
client = socket.socket()
client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1000)
client.connect(server.getsockname())
while more := client.recv(65536):
    taken += more
client.close()
thread.join()
assert taken == sent
print(again[0])
"""


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.05, 1, 10_000)])
def test_peer_of_a_host_with_loss_sends_again_and_nothing_is_missing(share, least, most):
    root = Path(__file__).resolve().parents[2]
    words = [sys.executable, "-c", _PROGRAM, str(share)]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert least <= int(done.stdout) <= most
