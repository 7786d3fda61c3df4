"""Loss on the way to a host: its TCP sockets let a share of what arrives pass unheard, so that the senders repeat it.

The capture shows both, as a SPAN port before a poor radio link does. The kernel drops by a filter on each socket.
"""

import ctypes
import socket
import struct
from typing import Any

_ATTACH_FILTER = 26
#: linux/filter.h: load a random word, jump where it is at least k, return how many octets of the packet are kept.
_LOAD_WORD, _JUMP_AT_LEAST, _RETURN, _RANDOM = 0x20, 0x35, 0x06, 0xFFFFF000 + 56
_ALL = 0xFFFFFFFF


def lose(share: float) -> None:
    """Let all TCP sockets that this process makes from now on lose a share of the segments that come to them."""
    least = round(share * _ALL)
    steps = ((_LOAD_WORD, 0, 0, _RANDOM), (_JUMP_AT_LEAST, 0, 1, least), (_RETURN, 0, 0, _ALL), (_RETURN, 0, 0, 0))
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    described = struct.pack("@HP", len(steps), ctypes.addressof(program))

    class Lossy(socket.socket):
        _program = program  # the kernel reads it whenever a socket is made

        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            if self.family == socket.AF_INET and self.type == socket.SOCK_STREAM:
                self.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, described)

    socket.socket = Lossy  # type: ignore[misc]
