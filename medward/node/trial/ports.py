"""Free ports on this machine."""

import random
import socket

from medward.node.errors import NodeError

# Below the ports that Linux gives to outgoing connections, so that none of them takes a stopped node's port.
_PORTS = range(20000, 32768)


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Return ports that nobody listens on now.

    Who listens on one must set SO_REUSEADDR, as servers of asyncio and Go do: for a minute after a server closed a
    connection, its port counts as used (TIME_WAIT) without that.
    """
    found: list[int] = []
    if count == 0:
        return found
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise NodeError(f"there are no {count} free ports on {host}; stop what uses them")
