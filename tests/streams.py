"""Connections that are reset, and whether asyncio would log why, with a traceback, when their objects are freed."""

import asyncio
import gc
import socket
import struct


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection so that the other side is told of an error, not of an end."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Ends:
    """How the connections end that are open when this is made."""

    def __init__(self) -> None:
        # Not `isinstance`, which asks a weak proxy for the class of what may be gone.
        streams = [one for one in gc.get_objects() if issubclass(type(one), asyncio.StreamReaderProtocol)]
        self._ends = [one._closed for one in streams if not one._closed.done()]  # type: ignore[attr-defined]

    @property
    def asked_for(self) -> list[bool]:
        """For each connection that failed, whether somebody took note of why; asyncio logs the others."""
        failed = [end for end in self._ends if end.done() and not end.cancelled() and end._exception is not None]
        return [not end._log_traceback for end in failed]
