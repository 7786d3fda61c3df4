"""The vocabulary of the meter: packets as they were captured, and what their headers say. Open this file first.

Sources hand out `PacketBatch`es; `medward.traffic.parsing` turns one into an array of `HEADERS`, one record a packet.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Link types (https://www.tcpdump.org/linktypes.html) whose frames the meter understands.
LINK_NULL, LINK_ETHERNET, LINK_RAW_BSD, LINK_RAW_OTHER, LINK_RAW = 0, 1, 12, 14, 101
LINK_SLL, LINK_IPV4, LINK_IPV6, LINK_SLL2 = 113, 228, 229, 276
LINKS = {
    LINK_NULL: "BSD loopback",
    LINK_ETHERNET: "Ethernet",
    LINK_RAW_BSD: "raw IP",
    LINK_RAW_OTHER: "raw IP",
    LINK_RAW: "raw IP",
    LINK_SLL: "Linux cooked capture",
    LINK_IPV4: "raw IPv4",
    LINK_IPV6: "raw IPv6",
    LINK_SLL2: "Linux cooked capture 2",
}

#: What a frame carries (field `kind`).
OTHER, ARP, IPV4, IPV6 = 0, 1, 4, 6

#: IP protocols (field `protocol`).
ICMP, IGMP, TCP, UDP, ICMPV6 = 1, 2, 6, 17, 58

#: TCP flags (field `flags`).
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = 1, 2, 4, 8, 16, 32, 64, 128

#: Whether a packet is a fragment of an IP packet (field `fragment`).
WHOLE, FIRST_FRAGMENT, LATER_FRAGMENT = 0, 1, 2

#: What is wrong with a packet (bits of field `trouble`): a header that the capture cut short, one that contradicts
#: itself or the frame's length, and a link type that is not in `LINKS`.
CUT_SHORT, MALFORMED, UNKNOWN_LINK = 1, 2, 4

#: What the headers of one packet say. MAC addresses are 48-bit integers, IPv4 addresses stand in the low 32 bits of
#: `source_low` and `target_low`. For ARP, `source_low` and `target_low` are the protocol addresses, `arp_mac` the
#: sender's hardware address and `source_port` the operation. For ICMP, `source_port` and `target_port` are type and
#: code. `network` is the place in the batch's octets behind the link header and its tags, or the frame's end where
#: there is nothing. `payload` is that behind the last header that was understood, `payload_captured` and
#: `payload_length` are how much of it was captured and how long the packet says it is, in octets.
HEADERS = np.dtype(
    [
        ("time", np.int64),
        ("source_mac", np.int64),
        ("target_mac", np.int64),
        ("arp_mac", np.int64),
        ("source_high", np.uint64),
        ("source_low", np.uint64),
        ("target_high", np.uint64),
        ("target_low", np.uint64),
        ("network", np.int64),
        ("payload", np.int64),
        ("payload_captured", np.int32),
        ("payload_length", np.int32),
        ("wire", np.int32),
        ("ip_length", np.int32),
        ("sequence", np.uint32),
        ("ether_type", np.uint16),
        ("source_port", np.uint16),
        ("target_port", np.uint16),
        ("tcp_window", np.uint16),
        ("kind", np.uint8),
        ("protocol", np.uint8),
        ("ttl", np.uint8),
        ("flags", np.uint8),
        ("fragment", np.uint8),
        ("trouble", np.uint8),
        ("has_mac", np.uint8),
        ("has_ports", np.uint8),
    ],
    align=True,
)


@dataclass(frozen=True)
class PacketBatch:
    """Some packets of a capture, in the order in which they were captured.

    A source may use the octets' memory again for its next batch: whoever needs packets longer copies them.

    Args:
        octets: uint8, memory that holds all frames; the batch has a view of it that cannot be written to.
        offset: int64 [packets], where each frame begins in `octets`.
        captured: int64 [packets], octets of each frame that were captured.
        wire: int64 [packets], octets that each frame had on the wire, at least `captured` in a sound capture.
        time: int64 [packets], nanoseconds since 1970.
        link: int32 [packets], the link type of each frame.
    """

    octets: NDArray[np.uint8]
    offset: NDArray[np.int64]
    captured: NDArray[np.int64]
    wire: NDArray[np.int64]
    time: NDArray[np.int64]
    link: NDArray[np.int32]

    def __post_init__(self) -> None:
        # The kernels are compiled for each kind of array, and memory that may be written to is another kind: with both,
        # all of the meter was compiled twice.
        if self.octets.flags.writeable:
            octets = self.octets.view()
            octets.flags.writeable = False
            object.__setattr__(self, "octets", octets)

    def __len__(self) -> int:
        return len(self.offset)

    def take(self, rows: slice | NDArray[Any]) -> "PacketBatch":
        """Return some of the packets, over the same octets."""
        return PacketBatch(
            self.octets,
            self.offset[rows],
            self.captured[rows],
            self.wire[rows],
            self.time[rows],
            self.link[rows],
        )
