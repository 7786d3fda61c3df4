"""Live packets of a network interface, from a ring of memory that the Linux kernel shares (AF_PACKET, TPACKET_V3).

https://docs.kernel.org/networking/packet_mmap.html. The kernel fills a block with packets and hands it over when it is
full or has waited long enough; the block is read in place and given back. What the ring has no room for is dropped by
the kernel and counted. Needs CAP_NET_RAW while it is opened; the open ring needs no privilege.
"""

import contextlib
import mmap
import os
import select
import socket
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from medward.traffic.compilation import compiled
from medward.traffic.errors import CaptureDenied, InterfaceLost
from medward.traffic.packets import LINK_ETHERNET, LINK_RAW, PacketBatch
from medward.traffic.sources.records import empty_arrays, number

#: Octets of a block, and the milliseconds after which the kernel hands over one that is not full.
BLOCK = 1 << 20
BLOCK_MILLISECONDS = 10
_FRAME = 2048

#: linux/if_packet.h and asm/socket.h, where Python's socket module has no names for them.
_SOL_PACKET, _RX_RING, _STATISTICS, _VERSION, _ADD_MEMBERSHIP = 263, 5, 6, 10, 1
_TPACKET_V3, _ETH_P_ALL, _PROMISCUOUS, _USER = 2, 3, 1, 1
#: Hardware types (linux/if_arp.h): Ethernet, loopback (which frames as Ethernet does), and without a link header.
_ETHERNET, _LOOPBACK, _NO_HEADER = 1, 772, 0xFFFE


@compiled
def walk_block(
    memory: NDArray[np.uint8],
    begin: int,
    end: int,
    link: int,
    offset: NDArray[np.int64],
    captured: NDArray[np.int64],
    wire: NDArray[np.int64],
    time: NDArray[np.int64],
    links: NDArray[np.int32],
) -> int:
    """Note the packets of the block `memory[begin:end]` (tpacket_block_desc, tpacket3_hdr); return how many.

    A VLAN tag that the interface took off stands in the packet's header there and is not put back.
    """
    count = min(number(memory, begin + 12, False), len(offset))
    at = begin + number(memory, begin + 16, False)
    for i in range(count):
        if at + 48 > end:
            return i
        start = at + (number(memory, at + 24, False) & 0xFFFF)
        length = number(memory, at + 12, False)
        if start + length > end:
            return i
        time[i] = number(memory, at + 4, False) * 1_000_000_000 + number(memory, at + 8, False)
        offset[i] = start
        captured[i] = length
        wire[i] = number(memory, at + 16, False)
        links[i] = link
        at += number(memory, at, False)
    return count


class InterfaceRing:
    """An open ring on one interface, in promiscuous mode; use it as a context.

    Args:
        interface: its name.
        mebibytes: of the ring; what a burst brings while nobody reads has to fit.

    Raises:
        CaptureDenied: there is no such interface, capturing is not permitted, or its frames cannot be read.
    """

    def __init__(self, interface: str, mebibytes: int = 128) -> None:
        self.interface = interface
        self._blocks = max(mebibytes * (1 << 20) // BLOCK, 2)
        self._received = self._dropped = 0
        self._at = 0
        try:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        except (PermissionError, AttributeError):
            raise CaptureDenied(
                f"capturing on {interface} is not permitted: run on Linux as root, or give the program CAP_NET_RAW."
            ) from None
        try:
            self._open()
        except OSError as error:
            self._socket.close()
            raise CaptureDenied(
                f"cannot capture on {interface} ({error.strerror}): name an interface that `ip link` shows as up."
            ) from None
        except BaseException:
            self._socket.close()
            raise

    def _open(self) -> None:
        one = self._socket
        one.setsockopt(_SOL_PACKET, _VERSION, _TPACKET_V3)
        frames = BLOCK // _FRAME * self._blocks
        request = struct.pack("7I", BLOCK, self._blocks, _FRAME, frames, BLOCK_MILLISECONDS, 0, 0)
        one.setsockopt(_SOL_PACKET, _RX_RING, request)
        index = socket.if_nametoindex(self.interface)
        one.bind((self.interface, _ETH_P_ALL))
        hardware = one.getsockname()[3]
        if hardware not in (_ETHERNET, _LOOPBACK, _NO_HEADER):
            raise CaptureDenied(
                f"{self.interface} has frames of hardware type {hardware}, which the meter does not read: capture on "
                "an Ethernet interface."
            )
        self._link = LINK_RAW if hardware == _NO_HEADER else LINK_ETHERNET
        one.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, struct.pack("iHH8s", index, _PROMISCUOUS, 0, b""))
        self._map = mmap.mmap(one.fileno(), BLOCK * self._blocks)
        self._memory = np.frombuffer(self._map, np.uint8)
        # The status of each block, which the kernel and the reader hand to each other.
        self._status = self._memory.view(np.uint32)[2 :: BLOCK // 4]
        # The shortest packet takes a header and 16 octets.
        self._arrays = empty_arrays(BLOCK // 64)
        self._poll = select.poll()
        self._poll.register(one, select.POLLIN | select.POLLERR)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the ring back."""
        del self._memory, self._status
        with contextlib.suppress(BufferError):  # somebody still holds a batch; the memory goes with it
            self._map.close()
        self._socket.close()

    def batches(self, milliseconds: int) -> Iterator[PacketBatch]:
        """Yield the packets of each block that is ready, waiting at most so long for the first one.

        A batch lies in the ring and is valid until the next is asked for, when its block is given back.

        Raises:
            InterfaceLost: the interface went down, or away; all packets before that were yielded.
        """
        if not self._status[self._at] & _USER:
            self._wait(milliseconds)
        while self._status[self._at] & _USER:
            begin = self._at * BLOCK
            count = walk_block(self._memory, begin, begin + BLOCK, self._link, *self._arrays)
            try:
                if count:
                    offset, captured, wire, time, link = (array[:count] for array in self._arrays)
                    yield PacketBatch(self._memory, offset, captured, wire, time, link)
            finally:
                self._status[self._at] = 0
                self._at = (self._at + 1) % self._blocks

    def _wait(self, milliseconds: int) -> None:
        events = self._poll.poll(milliseconds)
        if not any(event & select.POLLERR for _, event in events):
            return
        failure = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failure and not self._status[self._at] & _USER:
            raise InterfaceLost(
                f"{self.interface} can no longer be captured on ({os.strerror(failure)}): bring it up and start again."
            )

    def statistics(self) -> tuple[int, int]:
        """Return how many packets the interface received since it was opened, and how many of them were dropped."""
        received, dropped, _ = struct.unpack("3I", self._socket.getsockopt(_SOL_PACKET, _STATISTICS, 12))
        self._received += received
        self._dropped += dropped
        return self._received, self._dropped
