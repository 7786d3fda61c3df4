"""What members say to each other through the ordered log: small records; what is large is named by its content.

`task` names what a round sums: "survey" (counts for the scaler and the classes) or "train" (weighted updates).
A `RoundRecord` belongs to a round, a `KeyRecord` to the ceremony of a key epoch. Names of blobs are CIDs; members are
named, except inside a ceremony, where holders have the numbers that their shares are evaluated at (1..n, in the order
of the terms).
"""

import hashlib
from typing import Literal

import msgspec

Task = Literal["survey", "train"]
#: What an `Attest` speaks of: (member,) for what it submitted or shared, (holder, member) for what it revealed.
Subject = tuple[str, ...]
What = Literal["contribution", "share"]


class Open(msgspec.Struct, frozen=True, tag=True):
    """A round begins: `invited` members are asked to contribute to `task`, working from the shared model `model`.

    Args:
        round: the round's number; it never repeats.
        task: what is summed.
        model: the shared model that all work from.
        invited: who is asked.
        counts: how many counts (integers from 0 to 2^30 - 1) a contribution starts with.
        values: how many signed values follow.
    """

    round: int
    task: Task
    model: str
    invited: tuple[str, ...]
    counts: int
    values: int


class Commit(msgspec.Struct, frozen=True, tag=True):
    """`member` is bound to a contribution that nobody has seen yet (`commitment_to`)."""

    round: int
    member: str
    commitment: bytes


class Submit(msgspec.Struct, frozen=True, tag=True):
    """`member` shows what it committed to: the blob `contribution`."""

    round: int
    member: str
    contribution: str


class Attest(msgspec.Struct, frozen=True, tag=True):
    """`member` holds what these members showed and has checked it: `good` is what it should be, `bad` is not."""

    round: int
    member: str
    good: tuple[Subject, ...]
    bad: tuple[Subject, ...] = ()


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


class ShareCommit(msgspec.Struct, frozen=True, tag=True):
    """`member` re-added the contributions, got the aggregate, and is bound to a share in opening it."""

    round: int
    member: str
    commitment: bytes


class Share(msgspec.Struct, frozen=True, tag=True):
    """`member` shows the share that it committed to."""

    round: int
    member: str
    share: str


class Reveal(msgspec.Struct, frozen=True, tag=True):
    """`member` shows what the silent key holder `holder` once dealt to it, so that the holder's key can be opened."""

    round: int
    member: str
    holder: str
    share: str


class Finish(msgspec.Struct, frozen=True, tag=True):
    """`member` opened the sum and computed the next shared model, whose blob is `model`."""

    round: int
    member: str
    model: str


class Vote(msgspec.Struct, frozen=True, tag=True):
    """`member` tried the next model on its own validation rows and accepts it, or not."""

    round: int
    member: str
    accept: bool


class Tick(msgspec.Struct, frozen=True, tag=True):
    """A reminder that time has passed: the round's deadlines are looked at again."""

    round: int


class KeyBegin(msgspec.Struct, frozen=True, tag=True):
    """A key ceremony begins among all members, for `epoch` or, when somebody is left out of it, the next ones."""

    epoch: int
    member: str


class KeyCommit(msgspec.Struct, frozen=True, tag=True):
    """`member` is bound to a key that nobody has seen yet."""

    epoch: int
    member: str
    commitment: bytes


class KeyOpen(msgspec.Struct, frozen=True, tag=True):
    """`member` shows its public key, the proof of it, and its transport key: the blob `key`."""

    epoch: int
    member: str
    key: str


class KeyDeal(msgspec.Struct, frozen=True, tag=True):
    """`member` dealt its secret: for each holder the published hash of its share, and the blob of the sealed share."""

    epoch: int
    member: str
    digests: dict[int, bytes]
    sealed: dict[int, str]


class KeyRespond(msgspec.Struct, frozen=True, tag=True):
    """`member` answered the challenge to its dealing."""

    epoch: int
    member: str
    response: bytes


class KeyJudge(msgspec.Struct, frozen=True, tag=True):
    """`member` found its shares from the dealers in `good` right, and has none that is right from those in `bad`."""

    epoch: int
    member: str
    good: tuple[int, ...] = ()
    bad: tuple[int, ...] = ()


class KeyAnswer(msgspec.Struct, frozen=True, tag=True):
    """`member` answers the complaint of `holder`: the blob `share` is what it dealt to it, in the open."""

    epoch: int
    member: str
    holder: int
    share: str


class KeyHold(msgspec.Struct, frozen=True, tag=True):
    """`member` holds a blob that a `KeyOpen` or `KeyAnswer` names; one counts once f+1 members hold it."""

    epoch: int
    member: str
    blob: str


class KeyActive(msgspec.Struct, frozen=True, tag=True):
    """`member` ended the ceremony: these are the holders, and `digest` stands for their public keys."""

    epoch: int
    member: str
    holders: tuple[str, ...]
    digest: bytes


class KeyTick(msgspec.Struct, frozen=True, tag=True):
    """A reminder that time has passed, and a block behind the dealings whose hash nobody knew."""

    epoch: int
    member: str


RoundRecord = Open | Commit | Submit | Attest | Aggregate | Reject | ShareCommit | Share | Reveal | Finish | Vote | Tick
KeyRecord = KeyBegin | KeyCommit | KeyOpen | KeyDeal | KeyRespond | KeyJudge | KeyAnswer | KeyHold | KeyActive | KeyTick
Record = RoundRecord | KeyRecord


def commitment_to(what: What, federation: str, number: int, member: str, name: str) -> bytes:
    """Return what binds `member` to the blob `name` in round `number` without showing it.

    The name is a hash of the blob, and the blobs are ciphertexts or flooded shares: nobody guesses them.
    """
    parts = (what, federation, str(number), member, name)
    return hashlib.sha256(b"medward commitment 1" + b"".join(_framed(part) for part in parts)).digest()


def _framed(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(4, "little") + data
