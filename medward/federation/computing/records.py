"""Records that all who compute on ciphertexts by a ledger have in common: keys, contacts, and when a result stands.

    KeyPublished   a key holder's evaluation key, and how many outputs the key opens in its life
    ContactSaid    where a member's store is reached

A result stands once f + 1 members, other than the one who asked for it, have computed the same: a name is a hash, so
equal names are equal bytes.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Protocol

import msgspec

from medward.federation.errors import RecordRefused
from medward.federation.records import BlobName
from medward.ledger.encoding import Count, Structure

Number = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{8}\Z")]
MOST_REASON = 400
#: What another member reads on its terminal: one line, with nothing in it that ends a line, steers or reverses it.
Sentence = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=MOST_REASON,
        pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]*\Z",
    ),
]
_FINGERPRINT = re.compile(r"/[0-9a-f]{16}")


class KeyPublished(Structure, frozen=True, tag="key"):
    """A key holder's evaluation key.

    Args:
        key: the blob of the evaluation key.
        holder: the owner's name in ciphertexts, with the beginning of the fingerprint.
        outputs: tau, how many outputs the key opens in its life.
    """

    key: BlobName
    holder: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    outputs: Count


class ContactSaid(Structure, frozen=True, tag="contact"):
    """Where a member's store is reached, encoded."""

    contact: Annotated[bytes, msgspec.Meta(max_length=4096)]


class KeyOnRecord(Structure, frozen=True):
    """A key, and of how many outputs its holder has shown, or committed to, its part by the ledger."""

    published: KeyPublished
    opened: Count = 0


class ComputingState(Protocol):
    """What the state of every ledger has by which members compute on ciphertexts."""

    @property
    def members(self) -> tuple[str, ...]:
        """Who may speak, by name."""

    @property
    def keys(self) -> Mapping[str, KeyOnRecord]:
        """Keys by member."""


def faulty_of(members: Sequence[str]) -> int:
    """Return how many members may lie: f."""
    return (len(members) - 1) // 3


def with_key(keys: Mapping[str, KeyOnRecord], record: KeyPublished, author: str) -> Mapping[str, KeyOnRecord]:
    """Return the keys after a member published one.

    Raises:
        RecordRefused: it is another's, or the member has one.
    """
    # Another member's name may begin with this one's and a slash.
    if not record.holder.startswith(author) or not _FINGERPRINT.fullmatch(record.holder, len(author)):
        raise RecordRefused(f"a key of {record.holder} is not one of {author}")
    if author in keys:
        raise RecordRefused(f"{author} has a key already; a member has one for its life")
    return {**keys, author: KeyOnRecord(record)}


def with_opened(keys: Mapping[str, KeyOnRecord], member: str, outputs: int) -> Mapping[str, KeyOnRecord]:
    """Return the keys after a member's key opened so many more outputs."""
    known = keys[member]
    return {**keys, member: msgspec.structs.replace(known, opened=known.opened + outputs)}


def stands(results: Iterable[tuple[str, str]], result: str, asker: str, faulty: int) -> bool:
    """Return whether more than f members computed a result; whoever asked has an interest, and its word counts nothing.

    Args:
        results: who computed what.
        result: in question.
        asker: who asked for it.
        faulty: f.
    """
    alike = sum(found == result for member, found in results if member != asker)
    return alike > faulty


def oldest(numbers: Iterable[str], count: int) -> Sequence[str]:
    """Return the `count` oldest of these numbers; none where that is not above 0."""
    return sorted(numbers)[: max(count, 0)]


def number_of(count: int) -> str:
    """Return the number of the `count`-th of its kind."""
    return f"{count:08d}"
