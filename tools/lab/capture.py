"""Capturing an interface into a pcap file, with the kernel's time of each frame (libpcap's format, nanoseconds)."""

import contextlib
import socket
import struct
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

_EVERY_PROTOCOL, _TIMESTAMPS, _FORCED_BUFFER = 0x0003, 35, 33
_ADD_MEMBERSHIP, _PROMISCUOUS, _SOL_PACKET = 1, 1, 263
_STATISTICS = 6
_LONGEST = 262_144


class Capture:
    """A running capture, in a thread; use it as a context. The file appears under its name when it is complete.

    Args:
        interface: its name.
        path: of the file.
        twice: whether each frame is written twice, as where a SPAN port mirrors both sides of a switch.
    """

    def __init__(self, interface: str, path: Path, twice: bool = False) -> None:
        self._copies = 2 if twice else 1
        self._path, self._part = path, path.with_name(path.name + ".part")
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        # A user namespace's root may not go beyond the system's bound; the buffer is then as large as that allows.
        for option in (_FORCED_BUFFER, socket.SO_RCVBUF):
            with contextlib.suppress(PermissionError):
                self._socket.setsockopt(socket.SOL_SOCKET, option, 64 << 20)
                break
        self._socket.setsockopt(socket.SOL_SOCKET, _TIMESTAMPS, 1)
        self._socket.bind((interface, _EVERY_PROTOCOL))
        membership = struct.pack("iHH8s", socket.if_nametoindex(interface), _PROMISCUOUS, 0, b"")
        self._socket.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, membership)
        self._socket.settimeout(0.2)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self.frames = self.dropped = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self.dropped = struct.unpack("II", self._socket.getsockopt(_SOL_PACKET, _STATISTICS, 8))[1]
        self._socket.close()
        if kind is None:
            self._part.rename(self._path)
        else:
            self._part.unlink(missing_ok=True)

    def _write(self) -> None:
        with self._part.open("wb") as file:
            file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, _LONGEST, 1))
            while not self._ended.is_set():
                try:
                    frame, extra, _, _ = self._socket.recvmsg(65_536, 64)
                except TimeoutError:
                    continue
                seconds, nanoseconds = struct.unpack("qq", extra[0][2][:16])
                head = struct.pack("<IIII", seconds, nanoseconds, len(frame), len(frame))
                file.write((head + frame) * self._copies)
                self.frames += 1
