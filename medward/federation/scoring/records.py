"""The records of scoring on the ledger, and the state that follows from them: pure rules.

    KeyPublished    a key holder's evaluation key, and how many ciphertexts the key opens in its life
    ModelOffered    a vendor's encrypted model, its terms, and the public part that hospitals prepare flows with
    BatchAsked      a hospital's encrypted flows for an offer
    ResultComputed  what a member computed for a batch: a name is a hash, so equal names are equal bytes
    PartOpened      the vendor's part of the opened result
    BatchDeclined   why a member gives no answer to a batch, in one sentence

A batch's result stands once f + 1 members, other than the hospital that asked, have computed the same. Names of blobs
are CIDs. What a member has in the state is bounded, whatever it orders: its newest offers with the batches for them,
and its newest batches. Nobody's batches keep another's from being asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec

from medward.federation.computing.records import (
    ContactSaid,
    KeyOnRecord,
    KeyPublished,
    Number,
    Sentence,
    faulty_of,
    number_of,
    oldest,
    stands,
    with_key,
    with_opened,
)
from medward.federation.errors import RecordRefused
from medward.federation.records import BlobName
from medward.federation.scoring.terms import BadTerms, ScoringTerms
from medward.fhe.errors import FheError
from medward.ledger.encoding import Count, Structure, decode_form
from medward.ledger.errors import NotCanonical

#: A hospital's batches that wait for an answer at one time; each costs every computing member seconds.
MOST_WAITING = 16
#: A batch that waited a week, in milliseconds of the ledger's time, gives way to a new one of its hospital.
GIVES_WAY = 7 * 24 * 3600 * 1000
#: A hospital's newest batches that stay on record, and a vendor's newest offers.
MOST_BATCHES, MOST_OFFERS = 64, 8


class ModelOffered(Structure, frozen=True, tag="offer"):
    """An encrypted model.

    Args:
        model: the blob of its neurons.
        preparation: the blob that says how flows are prepared.
        terms: of scoring with it.
    """

    model: BlobName
    preparation: BlobName
    terms: ScoringTerms


class BatchAsked(Structure, frozen=True, tag="ask"):
    """Encrypted flows to be scored.

    Args:
        offer: the number of the offer.
        flows: the blob of their ciphertexts.
        rows: how many flows there are.
    """

    offer: Number
    flows: BlobName
    rows: Count


class ResultComputed(Structure, frozen=True, tag="result"):
    """What a member computed for a batch."""

    batch: Number
    result: BlobName


class PartOpened(Structure, frozen=True, tag="part"):
    """The vendor's part of a result, and the result that it belongs to."""

    batch: Number
    result: BlobName
    part: BlobName


class BatchDeclined(Structure, frozen=True, tag="decline"):
    """Why a member gives no answer to a batch."""

    batch: Number
    reason: Sentence


ScoringRecord = KeyPublished | ModelOffered | BatchAsked | ResultComputed | PartOpened | BatchDeclined | ContactSaid


def decode_scoring_record(payload: bytes) -> ScoringRecord | None:
    """Return the record that a payload holds, None where it holds none."""
    try:
        record: ScoringRecord = decode_form(payload, ScoringRecord, thinnest=16)
    except NotCanonical:
        return None
    return record


class Offer(Structure, frozen=True):
    """An offer of a member."""

    vendor: str
    offered: ModelOffered


class ScoringBatch(Structure, frozen=True):
    """A batch and what became of it.

    Args:
        hospital: who asked.
        asked: what.
        time: of the block in which it was asked for, in milliseconds.
        results: what each member computed, in the order of the ledger.
        agreed: what f + 1 members computed alike; empty before.
        part: the vendor's part; empty before.
        declined: who gives no answer, and why.
    """

    hospital: str
    asked: BatchAsked
    time: Count
    results: tuple[tuple[str, str], ...] = ()
    agreed: str = ""
    part: str = ""
    declined: tuple[tuple[str, str], ...] = ()

    def result_of(self, member: str) -> str | None:
        """Return what a member computed."""
        return dict(self.results).get(member)


@dataclass(frozen=True)
class ScoringState:
    """All that is on record.

    Args:
        members: who may speak, by name.
        keys: by member.
        offers: by number.
        batches: by number.
        offered, asked: how many offers and batches there were, those that are gone included; no number comes twice.
    """

    members: tuple[str, ...]
    keys: Mapping[str, KeyOnRecord]
    offers: Mapping[str, Offer]
    batches: Mapping[str, ScoringBatch]
    offered: int = 0
    asked: int = 0

    @property
    def faulty(self) -> int:
        """How many members may lie: f."""
        return faulty_of(self.members)

    def closed(self, number: str) -> bool:
        """Whether a batch gets no further answer: its part is out, the vendor declined, or f + 1 members did."""
        batch = self.batches[number]
        decliners = dict(batch.declined)
        vendor = self.offers[batch.asked.offer].vendor
        return bool(batch.part) or vendor in decliners or len(decliners) > self.faulty


def apply_scoring(state: ScoringState, record: ScoringRecord, author: str, time: int) -> ScoringState:
    """Return the state after a member's record.

    Args:
        state: before it.
        record: what was ordered.
        author: by whom.
        time: of its block, in milliseconds.

    Raises:
        RecordRefused: it breaks a rule; the text says which.
    """
    match record:
        case KeyPublished():
            return replace(state, keys=with_key(state.keys, record, author))
        case ModelOffered():
            return _offered(state, record, author)
        case BatchAsked():
            return _asked(state, record, author, time)
        case ResultComputed():
            return _computed(state, record, author)
        case PartOpened():
            return _opened(state, record, author)
        case BatchDeclined():
            return _declined(state, record, author)
        case _:
            return state


def _offered(state: ScoringState, record: ModelOffered, author: str) -> ScoringState:
    if author not in state.keys:
        raise RecordRefused(f"{author} has published no key, so nobody can compute with its model")
    try:
        record.terms.check()
    except (BadTerms, FheError) as error:
        raise RecordRefused(f"no such model is scored: {error}") from None
    own = [number for number, offer in state.offers.items() if offer.vendor == author]
    gone = set(oldest(own, len(own) + 1 - MOST_OFFERS))
    offers = {number: offer for number, offer in state.offers.items() if number not in gone}
    batches = {number: batch for number, batch in state.batches.items() if batch.asked.offer not in gone}
    offers[number_of(state.offered + 1)] = Offer(author, record)
    return replace(state, offers=offers, batches=batches, offered=state.offered + 1)


def _asked(state: ScoringState, record: BatchAsked, author: str, time: int) -> ScoringState:
    offer = state.offers.get(record.offer)
    if offer is None:
        raise RecordRefused(f"there is no offer {record.offer}")
    if author not in state.keys:
        raise RecordRefused(f"{author} has published no key, so nobody can compute with its flows")
    if author == offer.vendor:
        raise RecordRefused("a vendor scores flows with its own model in plain; nothing is encrypted for that")
    if not 1 <= record.rows <= offer.offered.terms.rows:
        raise RecordRefused(f"a batch has 1 to {offer.offered.terms.rows} flows, not {record.rows}")
    own = {number: batch for number, batch in state.batches.items() if batch.hospital == author}
    waiting = [number for number in own if not state.closed(number)]
    late = [number for number in waiting if time - own[number].time >= GIVES_WAY]
    gone = set(oldest(late, len(waiting) + 1 - MOST_WAITING))
    if len(waiting) - len(gone) >= MOST_WAITING:
        raise RecordRefused(f"{MOST_WAITING} batches of {author} wait already; ask again once some are answered")
    gone |= set(oldest([number for number in own if number not in gone], len(own) - len(gone) + 1 - MOST_BATCHES))
    batches = {number: batch for number, batch in state.batches.items() if number not in gone}
    batches[number_of(state.asked + 1)] = ScoringBatch(author, record, time)
    return replace(state, batches=batches, asked=state.asked + 1)


def _computed(state: ScoringState, record: ResultComputed, author: str) -> ScoringState:
    batch = _waiting(state, record.batch)
    if batch.result_of(author) is not None:
        raise RecordRefused(f"{author} has computed batch {record.batch} already")
    results = (*batch.results, (author, record.result))
    agreed = batch.agreed
    if not agreed and stands(results, record.result, batch.hospital, state.faulty):
        agreed = record.result
    return _with(state, record.batch, msgspec.structs.replace(batch, results=results, agreed=agreed))


def _opened(state: ScoringState, record: PartOpened, author: str) -> ScoringState:
    batch = _waiting(state, record.batch)
    offer = state.offers[batch.asked.offer]
    if author != offer.vendor:
        raise RecordRefused(f"batch {record.batch} is opened by {offer.vendor}, not by {author}")
    if record.result not in (batch.agreed, batch.result_of(author)):
        raise RecordRefused(f"{state.faulty + 1} members have not computed this result of batch {record.batch}")
    state = replace(state, keys=with_opened(state.keys, author, offer.offered.terms.pairs))
    return _with(state, record.batch, msgspec.structs.replace(batch, agreed=record.result, part=record.part))


def _declined(state: ScoringState, record: BatchDeclined, author: str) -> ScoringState:
    batch = _waiting(state, record.batch)
    if author in dict(batch.declined):
        raise RecordRefused(f"{author} has declined batch {record.batch} already")
    declined = (*batch.declined, (author, record.reason))
    return _with(state, record.batch, msgspec.structs.replace(batch, declined=declined))


def _waiting(state: ScoringState, number: str) -> ScoringBatch:
    if number not in state.batches:
        raise RecordRefused(f"there is no batch {number}")
    if state.closed(number):
        raise RecordRefused(f"batch {number} is closed")
    return state.batches[number]


def _with(state: ScoringState, number: str, batch: ScoringBatch) -> ScoringState:
    return replace(state, batches={**state.batches, number: batch})
