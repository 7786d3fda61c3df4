"""What a key ceremony is told (events) and what it asks for (effects); ceremony.py goes from the ones to the others.

Ordered events come from the ledger, the same for every member, with their author; local events come from this member's
own machine. Both carry the epoch that they belong to. Members are numbered.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from medward.fhe.dealing import Dealing, DealingContext
from medward.fhe.epoch import EpochKeys, KeyContribution
from medward.fhe.keys import SecretKey
from medward.fhe.parameters import SumParameters


class Phase(IntEnum):
    """Where a ceremony stands."""

    COMMIT = 0
    OPEN = 1
    DEAL = 2
    BEACON = 3
    RESPOND = 4
    ACKNOWLEDGE = 5
    ACTIVE = 6
    FAILED = 7


# Ordered events.


@dataclass(frozen=True)
class Committed:
    """A holder committed to its key contribution."""

    epoch: int
    member: int
    commitment: bytes


@dataclass(frozen=True)
class Opened:
    """A holder showed its key contribution; `transport` is its public key for sealed shares."""

    epoch: int
    member: int
    contribution: KeyContribution
    transport: bytes


@dataclass(frozen=True)
class Dealt:
    """A dealer published the hashes of the shares that it sealed to the holders."""

    epoch: int
    member: int
    digests: Mapping[int, bytes]


@dataclass(frozen=True)
class Beacon:
    """The value that nobody knew when the last dealing was ordered: the hash of the next block."""

    epoch: int
    value: bytes


@dataclass(frozen=True)
class Responded:
    """A dealer answered the beacon."""

    epoch: int
    member: int
    response: bytes


@dataclass(frozen=True)
class Acknowledged:
    """A holder found its share from `dealer` good."""

    epoch: int
    member: int
    dealer: int


@dataclass(frozen=True)
class Complained:
    """A holder has no good share from `dealer`, which must now show it to all."""

    epoch: int
    member: int
    dealer: int


@dataclass(frozen=True)
class Answered:
    """A dealer (`member`) showed the share of a complaining holder."""

    epoch: int
    member: int
    holder: int
    share: bytes


@dataclass(frozen=True)
class Deadline:
    """The current phase's time is over, by block time."""

    epoch: int
    phase: Phase


# Local events.


@dataclass(frozen=True, repr=False)
class KeysMade:
    """This member drew its secret for the epoch."""

    epoch: int
    secret: SecretKey
    contribution: KeyContribution
    transport: bytes


@dataclass(frozen=True, repr=False)
class DealingMade:
    """This member dealt its secret."""

    epoch: int
    dealing: Dealing


@dataclass(frozen=True, repr=False)
class ShareArrived:
    """A sealed share of a dealer arrived and was unsealed."""

    epoch: int
    dealer: int
    share: bytes


@dataclass(frozen=True)
class SharesOverdue:
    """This member waits no longer for shares that have not arrived."""

    epoch: int


# Effects: what this member's machine should do.


@dataclass(frozen=True)
class MakeKeys:
    """Draw a secret for this epoch and set (epoch.contribute), then feed KeysMade."""

    epoch: int
    parameters: SumParameters


@dataclass(frozen=True)
class MakeDealing:
    """Deal the secret (dealing.deal), seal each share to its holder's transport key, then feed DealingMade."""

    context: DealingContext
    transports: Mapping[int, bytes]


@dataclass(frozen=True)
class Order:
    """Have this event ordered on the ledger, signed by this member."""

    event: "OrderedEvent"


@dataclass(frozen=True)
class LeftOut:
    """A member is out of the ceremony, and why."""

    member: int
    reason: str


@dataclass(frozen=True)
class EraseSecrets:
    """Overwrite this epoch's dealing and transport key, and its secret too unless the epoch became active."""

    epoch: int
    keep_secret: bool


@dataclass(frozen=True)
class Activate:
    """The epoch is active; `shares` are this member's dealt shares, dealer -> share, for openings."""

    keys: EpochKeys
    shares: Mapping[int, bytes] = field(repr=False)


@dataclass(frozen=True)
class GiveUp:
    """Too few members are left."""

    reason: str


ActionEvent = Committed | Opened | Dealt | Responded | Acknowledged | Complained | Answered
OrderedEvent = ActionEvent | Beacon | Deadline
LocalEvent = KeysMade | DealingMade | ShareArrived | SharesOverdue
Event = OrderedEvent | LocalEvent
Effect = MakeKeys | MakeDealing | Order | LeftOut | EraseSecrets | Activate | GiveUp
