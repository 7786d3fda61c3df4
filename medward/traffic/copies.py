"""The kernel that knows a frame which the capture shows again: mirror ports and captures on several interfaces do so.

A copy has the sender, the receiver and all octets of a frame that was shown at most two milliseconds before. At most
three copies of a frame are passed over, so that nobody hides a flood by sending one frame again and again.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medward.traffic.compilation import compiled
from medward.traffic.hashing import fingerprint, hash_octets

#: Nanoseconds after a frame within which its copies come. In a capture of four interfaces of two machines, half of
#: whose frames are copies, they came after 11 microseconds at the median and 754 at most.
COPY_WITHIN = 2_000_000
#: How often one frame is passed over: a switch shows it where it enters and leaves, with a tag and without.
COPIES_MOST = 3
#: Frames that are remembered, a power of two: 2 ms hold 200 at 100,000 frames a second (spec/meter.md has the shares).
COPY_PLACES = 1 << 12
#: A frame that was shown: its fingerprint, when, and how many copies of it were passed over.
SHOWN = np.dtype([("tag", np.uint64), ("time", np.int64), ("copies", np.int64)])
_FRAME = np.uint64(5 << 48)  # above the 48 bits of a MAC address


@compiled
def is_copy(state: Any, shown: NDArray[Any], octets: NDArray[np.uint8], header: Any) -> bool:
    """Tell whether a frame is a copy of one that was shown just before; remember it where it is not.

    The hash of its payload is left in `content` of the state, for those who look into payload.

    Args:
        state: STATE, whose key is used and whose `content` is written.
        shown: SHOWN [COPY_PLACES].
        octets: uint8, the batch's memory.
        header: HEADERS of the frame.
    """
    end = header.payload + header.payload_captured
    if end <= header.network:
        return False  # nothing of it was understood
    headers = hash_octets(state, octets, header.network, header.payload)
    state.content = hash_octets(state, octets, header.payload, end)
    sender, receiver = np.uint64(header.source_mac), np.uint64(header.target_mac)
    kind = np.uint64(header.ether_type)
    tag = fingerprint(state, _FRAME | sender, receiver, kind, headers, state.content)
    frame = shown[np.int64(tag & np.uint64(len(shown) - 1))]
    after = header.time - frame.time  # less than 0 where the capture has them out of order
    if frame.tag == tag and -COPY_WITHIN <= after <= COPY_WITHIN and frame.copies < COPIES_MOST:
        frame.copies += 1
        return True
    frame.tag = tag
    frame.time = header.time
    frame.copies = 0
    return False
