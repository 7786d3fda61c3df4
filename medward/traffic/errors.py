"""The errors of the meter, each one sentence that names the capture, the place in it and the mend."""

from medward.errors import MedwardError


class TrafficError(MedwardError):
    """Traffic that cannot be metered as asked."""


class NotACapture(TrafficError):
    """A file that is no capture at all, or one of a kind that the meter does not read."""


class DamagedCapture(TrafficError):
    """A capture that cannot be read to its end; all packets before the damage were handed out first.

    Args:
        name: the capture.
        packets: how many packets were read before the damage.
        offset: the byte of the capture at which the damaged part begins.
        what: what is wrong there, as a clause.
    """

    def __init__(self, name: str, packets: int, offset: int, what: str) -> None:
        super().__init__(
            f"{name} cannot be read beyond packet {packets} (byte {offset}): {what}; what stands before it was kept, "
            "so capture again or cut the file there."
        )
        self.name, self.packets, self.offset = name, packets, offset


class InterfaceLost(TrafficError):
    """An interface that went down or away while it was captured on."""


class CaptureDenied(TrafficError):
    """An interface that cannot be captured on."""
