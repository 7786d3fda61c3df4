"""Free ports: different ones, that can be listened on now."""

import socket

import pytest

from medward.node.errors import NodeError
from medward.node.trial import ports
from medward.node.trial.ports import free_ports


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_ports_are_different_and_can_be_listened_on(host: str) -> None:
    found = free_ports(20, host)
    assert len(set(found)) == 20
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in found:
        with socket.create_server((host, port), family=family):  # with SO_REUSEADDR, as the node's servers
            pass


def test_port_that_a_server_closed_a_connection_on_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = listener.accept()
            accepted.close()
            assert client.recv(1) == b""
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    monkeypatch.setattr(ports, "_PORTS", range(port, port + 1))
    assert free_ports(1) == [port]
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_port_that_somebody_listens_on_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, free = free_ports(2)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", taken))
        listener.listen()
        monkeypatch.setattr(ports, "_PORTS", range(min(taken, free), max(taken, free) + 1, max(abs(taken - free), 1)))
        assert free_ports(1) == [free]
        with pytest.raises(NodeError, match="no 2 free ports"):
            free_ports(2)
