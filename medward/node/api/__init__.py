"""The HTTP API of one node: server.py answers, guard.py controls access, client.py asks."""
