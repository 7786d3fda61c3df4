"""What members say to each other through the ordered log: small records; what is large is named by its content.

`task` names what a round sums: "survey" (counts for the scaler and the classes) or "train" (weighted updates).
"""

from typing import Literal

import msgspec

Task = Literal["survey", "train"]


class Open(msgspec.Struct, frozen=True, tag=True):
    """A round begins: `invited` members are asked to contribute to `task`, working from the shared model `model`."""

    round: int
    task: Task
    model: str
    invited: tuple[str, ...]
    length: int


class Submit(msgspec.Struct, frozen=True, tag=True):
    """`member` contributed the blob `contribution` to the round."""

    round: int
    member: str
    contribution: str


class Aggregate(msgspec.Struct, frozen=True, tag=True):
    """`member` added the cohort's contributions; the result is the blob `aggregate`."""

    round: int
    member: str
    aggregate: str


class Reject(msgspec.Struct, frozen=True, tag=True):
    """`member` re-added the contributions and did not get `aggregate`."""

    round: int
    member: str
    aggregate: str


class Share(msgspec.Struct, frozen=True, tag=True):
    """`member` checked the aggregate and gives its share in opening it, the blob `share`."""

    round: int
    member: str
    share: str


class Finish(msgspec.Struct, frozen=True, tag=True):
    """`member` opened the sum and computed the next shared model, whose blob is `model`."""

    round: int
    member: str
    model: str


class Tick(msgspec.Struct, frozen=True, tag=True):
    """A reminder that time has passed: the round's deadlines are looked at again."""

    round: int


Record = Open | Submit | Aggregate | Reject | Share | Finish | Tick
