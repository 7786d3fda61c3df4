"""What members say to each other through the ordered log: small records; what is large is named by its content.

`task` names what a round sums: "survey" (counts for the scaler and the classes), "train" (weighted updates) or "grow"
(what trees are split by).
A `RoundRecord` belongs to a round, a `KeyRecord` to the ceremony of a key epoch, a `DataRecord` to sealed data. Names
of blobs are CIDs; members are named, except inside a ceremony, where holders have the numbers that their shares are
evaluated at (1..n, in the order of the terms).
"""

import hashlib
from typing import Annotated, Literal

import msgspec

from medward.ledger.encoding import Count, Name, Structure, decode_form, encode
from medward.ledger.errors import NotCanonical

Task = Literal["survey", "train", "grow"]
#: What an `Attest` speaks of, as `subject` names it.
Subject = str
What = Literal["contribution", "share"]
BlobName = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class Dispatch(Structure, frozen=True):
    """How a sum is sent (spec/courier.md); the same for every member.

    Args:
        bits: the width of a value, as `Quantiser` takes it.
        blocks: the numbers of the blocks of weights that are sent, in ascending order; none in a survey.
        periods: how many periods of local training a contribution covers; all but the last are skipped rounds.
    """

    bits: Count = 16
    blocks: tuple[Count, ...] = ()
    periods: Count = 1


#: Everything there is, at once.
AT_ONCE = Dispatch()


class Next(Structure, frozen=True):
    """What a sum is for: `counts` counts (integers from 0 to 2^30 - 1), then `values` signed values."""

    task: Task
    counts: Count
    values: Count
    dispatch: Dispatch = AT_ONCE


class Open(Structure, frozen=True, tag="open"):
    """A round begins: `invited` members are asked to contribute to `task`, working from the shared model `model`.

    Args:
        round: the round's number; it never repeats.
        task: what is summed.
        model: the shared model that all work from.
        invited: who is asked.
        counts: how many counts (integers from 0 to 2^30 - 1) a contribution starts with.
        values: how many signed values follow.
        dispatch: how they are sent.
    """

    round: Count
    task: Task
    model: str
    invited: tuple[str, ...]
    counts: Count
    values: Count
    dispatch: Dispatch = AT_ONCE


class Commit(Structure, frozen=True, tag="commit"):
    """`member` is bound to a contribution that nobody has seen yet (`commitment_to`)."""

    round: Count
    member: str
    commitment: bytes


class Submit(Structure, frozen=True, tag="submit"):
    """`member` shows what it committed to: the blob `contribution`."""

    round: Count
    member: str
    contribution: str


class Attest(Structure, frozen=True, tag="attest"):
    """`member` holds what these members showed and has checked it: `good` is what it should be, `bad` is not."""

    round: Count
    member: str
    good: tuple[Subject, ...]
    bad: tuple[Subject, ...] = ()


class Aggregate(Structure, frozen=True, tag="aggregate"):
    """`member` added the cohort's contributions; the result is the blob `aggregate`."""

    round: Count
    member: str
    aggregate: str


class Reject(Structure, frozen=True, tag="reject"):
    """`member` re-added the contributions and did not get `aggregate`."""

    round: Count
    member: str
    aggregate: str


class ShareCommit(Structure, frozen=True, tag="share.commit"):
    """`member` re-added the contributions, got the aggregate, and is bound to a share in opening it."""

    round: Count
    member: str
    commitment: bytes


class Share(Structure, frozen=True, tag="share"):
    """`member` shows the share that it committed to."""

    round: Count
    member: str
    share: str


class Reveal(Structure, frozen=True, tag="reveal"):
    """`member` shows what the silent key holder `holder` once dealt to it, so that the holder's key can be opened."""

    round: Count
    member: str
    holder: str
    share: str


class Finish(Structure, frozen=True, tag="finish"):
    """`member` opened the sum and computed the next shared model.

    Args:
        round, member: as ever.
        model: the next shared model's blob.
        next: what the sum after this one is for, None once the plan is fulfilled.
    """

    round: Count
    member: str
    model: str
    next: Next | None


class Vote(Structure, frozen=True, tag="vote"):
    """`member` tried the next model on its own validation rows and accepts it, or not."""

    round: Count
    member: str
    accept: bool


class Tick(Structure, frozen=True, tag="tick"):
    """A reminder that time has passed: the round's deadlines are looked at again."""

    round: Count


class KeyBegin(Structure, frozen=True, tag="key.begin"):
    """A key ceremony begins among all members, for `epoch` or, when somebody is left out of it, the next ones."""

    epoch: Count
    member: str


class KeyCommit(Structure, frozen=True, tag="key.commit"):
    """`member` is bound to a key that nobody has seen yet."""

    epoch: Count
    member: str
    commitment: bytes


class KeyOpen(Structure, frozen=True, tag="key.open"):
    """`member` shows its public key, the proof of it, and its transport key: the blob `key`."""

    epoch: Count
    member: str
    key: str


class KeyDeal(Structure, frozen=True, tag="key.deal"):
    """`member` dealt its secret: for each holder the published hash of its share, and the blob of the sealed share."""

    epoch: Count
    member: str
    digests: tuple[tuple[int, bytes], ...]
    sealed: tuple[tuple[int, str], ...]


class KeyRespond(Structure, frozen=True, tag="key.respond"):
    """`member` answered the challenge to its dealing."""

    epoch: Count
    member: str
    response: bytes


class KeyJudge(Structure, frozen=True, tag="key.judge"):
    """`member` found its shares from the dealers in `good` right, and has none that is right from those in `bad`."""

    epoch: Count
    member: str
    good: tuple[int, ...] = ()
    bad: tuple[int, ...] = ()


class KeyAnswer(Structure, frozen=True, tag="key.answer"):
    """`member` answers the complaint of `holder`: the blob `share` is what it dealt to it, in the open."""

    epoch: Count
    member: str
    holder: Count
    share: str


class KeyHold(Structure, frozen=True, tag="key.hold"):
    """`member` holds a blob that a `KeyOpen` or `KeyAnswer` names; one counts once f+1 members hold it."""

    epoch: Count
    member: str
    blob: str


class KeyActive(Structure, frozen=True, tag="key.active"):
    """`member` ended the ceremony: these are the holders, and `digest` stands for their public keys."""

    epoch: Count
    member: str
    holders: tuple[str, ...]
    digest: bytes


class KeyFailed(Structure, frozen=True, tag="key.failed"):
    """`member` ended the ceremony, at its attempt for `epoch`, without keys: too few members were left in it."""

    epoch: Count
    member: str


class KeyTick(Structure, frozen=True, tag="key.tick"):
    """A reminder that time has passed, and a block behind the dealings whose hash nobody knew."""

    epoch: Count
    member: str


class Announce(Structure, frozen=True, tag="announce"):
    """The author says where its store is reached; what `contact` holds is the nodes' business."""

    contact: Annotated[bytes, msgspec.Meta(max_length=1024)]


class Change(Structure, frozen=True, tag="change"):
    """The author wants `name` to come, to come back with new keys, or to go.

    Args:
        name: whom it is about.
        account: the public key under which `name` will speak, None for one that goes.
        replica: what the ledger needs to know of it (an encoded `medward.ledger.types.Member`), None for one that goes.
        contact: where its store is reached, None for one that goes.
    """

    name: Name
    account: bytes | None
    replica: Annotated[bytes, msgspec.Meta(max_length=8192)] | None
    contact: Annotated[bytes, msgspec.Meta(max_length=1024)] | None = None

    def wish(self) -> str:
        """Return the change as one text, equal whoever wants it."""
        return encode(self).hex()

    @staticmethod
    def of_wish(text: str) -> "Change":
        """Return the change that `wish` made a text of."""
        change: Change = decode_form(bytes.fromhex(text), Change)
        return change


class KeyWish(Structure, frozen=True, tag="key.wish"):
    """`member` holds no part of the joint key of this epoch, is here, and wants new keys."""

    epoch: Count
    member: str


class Resume(Structure, frozen=True, tag="resume"):
    """The author wants a federation that has stopped to go on."""


class DataKey(Structure, frozen=True, tag="data.key"):
    """The author's key for sealed data sets is the one in the blob `key`, from now on."""

    key: BlobName


class SealedData(Structure, frozen=True, tag="data"):
    """The author keeps a sealed data set (sealed_data.py).

    Args:
        data: the sealed blob.
        schema: the digest of its schema (`Schema.digest`); empty for bytes that nothing is said of.
        rows: how many rows it has, 0 where that is not known.
        readers: the members whose keys open it, the author first.
    """

    data: BlobName
    schema: Annotated[bytes, msgspec.Meta(max_length=32)]
    rows: Count
    readers: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=256)]


class Withdraw(Structure, frozen=True, tag="data.withdraw"):
    """The author no longer keeps the sealed data set `data`; an audit need not find it."""

    data: BlobName


RoundRecord = Open | Commit | Submit | Attest | Aggregate | Reject | ShareCommit | Share | Reveal | Finish | Vote | Tick
KeyEnd = KeyActive | KeyFailed
KeyRecord = KeyBegin | KeyCommit | KeyOpen | KeyDeal | KeyRespond | KeyJudge | KeyAnswer | KeyHold | KeyEnd | KeyTick
DataRecord = DataKey | SealedData | Withdraw
Record = RoundRecord | KeyRecord | DataRecord | Announce | Change | KeyWish | Resume


def subject(*names: str) -> Subject:
    """Return what stands in an `Attest` for what `member` submitted or shared, or for what it revealed of `holder`.

    Args:
        names: (member,) or (holder, member); no name has a line end in it.
    """
    return "\n".join(names)


def encode_record(record: Record) -> bytes:
    """Return a record's one encoding, the payload of its transaction."""
    return encode(record)


def decode_record(payload: bytes) -> Record | None:
    """Return the record that a payload encodes, or None if it encodes none."""
    try:
        record: Record = decode_form(payload, Record, thinnest=4)
    except NotCanonical:
        return None
    return record


def commitment_to(what: What, federation: str, number: int, member: str, name: str) -> bytes:
    """Return what binds `member` to the blob `name` in round `number` without showing it.

    The name is a hash of the blob, and the blobs are ciphertexts or flooded shares: nobody guesses them.
    """
    parts = (what, federation, str(number), member, name)
    return hashlib.sha256(b"medward commitment 1" + b"".join(_framed(part) for part in parts)).digest()


def _framed(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(4, "little") + data
