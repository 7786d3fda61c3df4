"""The records that members order in the log: small ones; what is large is named by its content.

`task` names what a round is for: "survey" (counts for the scaler and the classes), "train" (weighted updates), "gram"
(second moments, for a model in closed form), or "skip" (nothing is summed; the model goes on by what is public). A
`RoundRecord` belongs to a round, a `DataRecord` to sealed data. Names of blobs are CIDs.
"""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from medward.ledger.encoding import Count, Name, Structure, decode_form, encode
from medward.ledger.errors import NotCanonical

Task = Literal["survey", "train", "gram", "skip"]
BlobName = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
#: So many blocks of weights a sum is of at most: a model of 8 million weights.
MOST_BLOCKS = 4096


class Dispatch(Structure, frozen=True):
    """How a sum is sent (spec/courier.md); the same for every member.

    Args:
        bits: the width of a value, as `Quantiser` takes it.
        blocks: the numbers of the blocks of weights that are sent, in ascending order; none in a survey.
        periods: how many periods of local training a contribution covers; all but the last are skipped rounds.
    """

    bits: Count = 16
    blocks: Annotated[tuple[Count, ...], msgspec.Meta(max_length=MOST_BLOCKS)] = ()
    periods: Count = 1


#: Everything there is, at once.
AT_ONCE = Dispatch()


class Next(Structure, frozen=True):
    """What a sum is for: `counts` counts (integers from 0 to 2^30 - 1), then `values` signed values."""

    task: Task
    counts: Count
    values: Count
    dispatch: Dispatch = AT_ONCE


class SealingKey(Structure, frozen=True, tag="sealing.key"):
    """From the next round on, shares for `member` are sealed to this key (fhe/hybrid.py)."""

    member: str
    key: Annotated[bytes, msgspec.Meta(max_length=4096)]


class BeginRound(Structure, frozen=True, tag="begin"):
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


class Commitment(Structure, frozen=True, tag="commit"):
    """`member` is bound to a contribution that nobody has seen yet (`commitment_to`)."""

    round: Count
    member: str
    commitment: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


class Submit(Structure, frozen=True, tag="submit"):
    """`member` shows the contribution that it committed to, and its response to the beacon: two blobs."""

    round: Count
    member: str
    contribution: BlobName
    response: BlobName


class Attest(Structure, frozen=True, tag="attest"):
    """`member` tells, once a phase, what it found of the dealers; it holds nothing of those that it does not name.

    Args:
        round, member: as ever.
        good: whose dealings are good, its own shares of them included; or, of dealers that showed, who showed rightly.
        at_fault: whose contribution or response is wrong, or who showed something wrong; anybody can tell.
        complaints: who dealt it a share that is not what it should be; only this holder can tell.
    """

    round: Count
    member: str
    good: tuple[str, ...] = ()
    at_fault: tuple[str, ...] = ()
    complaints: tuple[str, ...] = ()


class Show(Structure, frozen=True, tag="show"):
    """`member` shows in the open what it dealt to the holders that complained: the blob `shown`."""

    round: Count
    member: str
    shown: BlobName


class Answer(Structure, frozen=True, tag="answer"):
    """`member` shows its one answer of the round, the sum of its shares over the cohort: the blob `answer`."""

    round: Count
    member: str
    answer: BlobName


class NoFit(Structure, frozen=True, tag="no.fit"):
    """`member` holds the answers of these holders, and no set of t of them that it tried gives the sum."""

    round: Count
    member: str
    answers: tuple[str, ...]


class Respond(Structure, frozen=True, tag="respond"):
    """`member`, a dealer of the cohort, responds to the beacon of the audit of answers."""

    round: Count
    member: str
    response: Annotated[bytes, msgspec.Meta(max_length=4096)]


class Complain(Structure, frozen=True, tag="complain"):
    """`member` publishes the share that `dealer` dealt to it, the blob `share`, which proves the dealer at fault."""

    round: Count
    member: str
    dealer: str
    share: BlobName


class Finish(Structure, frozen=True, tag="finish"):
    """`member` decrypted the sum and computed the next shared model.

    Args:
        round, member: as ever.
        model: the next shared model's blob.
        next: what the sum after this one is for, None once the plan is fulfilled.
    """

    round: Count
    member: str
    model: BlobName
    next: Next | None


class ModelVote(Structure, frozen=True, tag="vote"):
    """`member` tried the next model on its own validation rows and accepts it, or not."""

    round: Count
    member: str
    accept: bool


class RoundTick(Structure, frozen=True, tag="tick"):
    """A reminder that time has passed: the round's deadlines are looked at again."""

    round: Count


class Announce(Structure, frozen=True, tag="announce"):
    """The author says where its store is reached; what `contact` holds is the nodes' business."""

    contact: Annotated[bytes, msgspec.Meta(max_length=1024)]


class Change(Structure, frozen=True, tag="change"):
    """The author wants `name` to come, to come back with new keys, or to go (membership.py).

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


class Retract(Structure, frozen=True, tag="change.retract"):
    """The author takes back its open wish about `name`."""

    name: Name


class Resume(Structure, frozen=True, tag="resume"):
    """The author wants a federation that has stopped to go on."""


class Observe(Structure, frozen=True, tag="observe"):
    """The author observes from the next round on, or takes part again.

    An observer is asked for no contribution, in surveys and in training. It holds shares, checks and votes as before.
    """

    observes: bool


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


RoundRecord = (
    BeginRound
    | Commitment
    | Submit
    | Attest
    | Show
    | Answer
    | NoFit
    | Respond
    | Complain
    | Finish
    | ModelVote
    | RoundTick
)
DataRecord = DataKey | SealedData | Withdraw
Record = RoundRecord | DataRecord | SealingKey | Announce | Change | Retract | Resume | Observe


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


def commitment_to(federation: str, number: int, member: str, name: str) -> bytes:
    """Return what binds `member` to its contribution, the blob `name`, to round `number` without showing it.

    The name is a hash of the blob, which holds ciphertexts: nobody guesses it.
    """
    return _digest("medward commitment 2", federation, str(number), member, name)


def beacon_of(federation: str, number: int, block: bytes, commitments: Mapping[str, bytes]) -> bytes:
    """Return the beacon that challenges a round's dealings, which their authors could not know when they committed.

    Args:
        federation: the federation's name.
        number: the round's number.
        block: the hash of the block that closed the commitments.
        commitments: all of them, by member. Their order does not count: a state that was restored has them sorted.
    """
    parts = [part for member in sorted(commitments) for part in (member, commitments[member])]
    return _digest("medward beacon 2", federation, str(number), block, *parts)


def audit_beacon_of(federation: str, number: int, block: bytes, answers: Mapping[str, str]) -> bytes:
    """Return the beacon of an audit of answers, which their authors could not know when they answered.

    Args:
        federation: the federation's name.
        number: the round's number.
        block: the hash of the block from which on no answer counts any more.
        answers: the names of those that count, by holder; their order does not count.
    """
    parts = [part for holder in sorted(answers) for part in (holder, answers[holder])]
    return _digest("medward audit beacon 2", federation, str(number), block, *parts)


def _digest(domain: str, *parts: str | bytes) -> bytes:
    """Return SHA-256 over parts that each stand behind their length, so that no two lists of parts are alike."""
    data = [part.encode() if isinstance(part, str) else part for part in (domain, *parts)]
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "little") + part for part in data)).digest()
