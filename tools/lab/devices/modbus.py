"""Modbus/TCP (Messaging Implementation Guide 1.0b): slaves such as room controllers, and a master that polls them."""

import itertools
import socket
import struct
from random import Random
from typing import Any

from tools.lab.devices.service import receive, serve, wait

_READ, _WRITE, _BAD_ADDRESS = 3, 6, 2


def _frame(transaction: int, unit: int, body: bytes) -> bytes:
    return struct.pack("!HHHB", transaction, 0, len(body) + 1, unit) + body


def read_frame(connection: socket.socket) -> tuple[int, int, bytes]:
    """Read one frame: transaction, unit, function and data.

    Raises:
        EOFError: the peer ended the connection.
        ValueError: it is not Modbus.
    """
    transaction, protocol, length, unit = struct.unpack("!HHHB", receive(connection, 7))
    if protocol != 0 or not 2 <= length <= 254:
        raise ValueError("not a Modbus frame")
    return transaction, unit, receive(connection, length - 1)


def slave(settings: dict[str, Any], address: str, random: Random) -> None:
    """Hold registers that others read and write."""
    registers = [random.randrange(65_536) for _ in range(settings["registers"])]

    def talk(connection: socket.socket) -> None:
        while True:
            transaction, unit, body = read_frame(connection)
            function, begin, value = struct.unpack("!BHH", body[:5])
            if function == _READ and begin + value <= len(registers):
                answer = struct.pack(f"!BB{value}H", function, 2 * value, *registers[begin : begin + value])
            elif function == _WRITE and begin < len(registers):
                registers[begin] = value
                answer = body
            else:
                answer = bytes([function | 0x80, _BAD_ADDRESS])
            connection.sendall(_frame(transaction, unit, answer))

    serve(address, settings["port"], talk)


def master(settings: dict[str, Any], address: str, random: Random) -> None:
    """Poll the slaves in turn, and write a register now and then."""
    connections = [socket.create_connection((server, settings["port"]), 10) for server in settings["servers"]]
    try:
        for transaction in itertools.count(1):
            connection = connections[transaction % len(connections)]
            if random.random() < settings["writes"]:
                body = struct.pack("!BHH", _WRITE, random.randrange(16), random.randrange(65_536))
            else:
                body = struct.pack("!BHH", _READ, random.randrange(16), settings["count"])
            connection.sendall(_frame(transaction & 0xFFFF, settings["unit"], body))
            read_frame(connection)
            wait(settings, random)
    finally:
        for connection in connections:
            connection.close()
