"""The next step of a member by the ledger, and the looks of a key holder at what it opens: pure rules.

A key holder opens a ciphertext of somebody else's choice only once f + 1 members, or it itself, computed it from the
batch; then it looks at what can be seen of a ciphertext: its owners, level and bound are those of a result.
"""

from collections.abc import Iterable, Iterator, Sequence

from medward.federation.computing.work import ComputingWork
from medward.federation.scoring.records import ScoringState
from medward.federation.scoring.terms import BadTerms, ScoringTerms
from medward.fhe.computing.ciphertexts import Ciphertext
from medward.fhe.computing.formats.ciphertexts import most_ciphertext_bytes
from medward.fhe.computing.formats.opened_parts import read_opened_part, write_opened_part
from medward.fhe.computing.opening import OpenedPart
from medward.fhe.errors import MalformedEncoding

_LENGTH_BYTES = 4
_RECORD_BYTES = 256


def work_of(state: ScoringState, member: str, computes: bool) -> Iterator[ComputingWork]:
    """Yield what a member has to do by the ledger, the oldest batch first.

    Args:
        state: of the ledger.
        member: its name.
        computes: whether it computes for others.
    """
    for number, batch in state.batches.items():
        if batch.part:
            if batch.hospital == member:
                yield ComputingWork("receive", number)
        elif not state.closed(number) and member not in dict(batch.declined):
            own = batch.result_of(member)
            if state.offers[batch.asked.offer].vendor == member and (batch.agreed or own):
                yield ComputingWork("answer", number)
            elif computes and own is None:
                yield ComputingWork("compute", number)


def names_of(state: ScoringState) -> set[str]:
    """Return the names of all blobs that keys, offers and batches on record still need.

    Keys are among them, since a batch can name anything: the blob of another's key as its flows, for instance.
    """
    names = {known.published.key for known in state.keys.values()}
    names |= {name for offer in state.offers.values() for name in (offer.offered.model, offer.offered.preparation)}
    for batch in state.batches.values():
        names |= {batch.asked.flows, *(result for _, result in batch.results), batch.agreed, batch.part}
    return names - {""}


def most_model_bytes(terms: ScoringTerms) -> int:
    """Return the size that no model of these terms exceeds."""
    count = sum(units * (terms.fan_in(layer) + 1) for layer, units in enumerate(terms.units))
    return (count + 1) * (most_ciphertext_bytes(terms.parameters, 1) + _RECORD_BYTES)


def most_flows_bytes(terms: ScoringTerms) -> int:
    """Return the size that no batch of flows exceeds."""
    return (terms.inputs + 1) * (most_ciphertext_bytes(terms.parameters, 1) + _RECORD_BYTES)


def most_result_bytes(terms: ScoringTerms) -> int:
    """Return the size that no result, and no part of one, exceeds."""
    return (terms.pairs + 1) * (most_ciphertext_bytes(terms.parameters, 2) + _RECORD_BYTES)


def check_result(terms: ScoringTerms, results: Sequence[Ciphertext], holders: tuple[str, str]) -> None:
    """Refuse what cannot be the result of scoring, whoever says that it is.

    Args:
        terms: of scoring.
        results: the ciphertexts.
        holders: the vendor's and the hospital's names in ciphertexts.

    Raises:
        BadTerms: their number, owners, level or bounds are others.
    """
    if len(results) != terms.pairs:
        raise BadTerms(f"a result has {terms.pairs} ciphertexts, and this has {len(results)}")
    owners, bound = tuple(sorted(holders)), terms.result_bound()
    for one in results:
        if one.owners != owners:
            raise BadTerms(
                f"a result is under the keys of {' and '.join(owners)}, and this under {', '.join(one.owners)}"
            )
        if one.level != 0 or one.bound != bound:
            raise BadTerms("a result is at level 0 with the bound of the whole circuit, and this is not")


def write_parts(parts: Iterable[OpenedPart]) -> bytes:
    """Return one key holder's parts of a result as bytes."""
    written = [write_opened_part(part) for part in parts]
    return b"".join(len(one).to_bytes(_LENGTH_BYTES, "big") + one for one in written)


def read_parts(terms: ScoringTerms, data: bytes) -> list[OpenedPart]:
    """Return the parts that `write_parts` wrote.

    Raises:
        MalformedEncoding: they are none, or not one for each ciphertext of a result.
    """
    found, at = [], 0
    while at < len(data):
        end = at + _LENGTH_BYTES + int.from_bytes(data[at : at + _LENGTH_BYTES], "big")
        if end > len(data):
            raise MalformedEncoding("the parts of a result end too early: ask the vendor")
        found.append(read_opened_part(terms.parameters, data[at + _LENGTH_BYTES : end]))
        at = end
    if len(found) != terms.pairs:
        raise MalformedEncoding(f"a result has {terms.pairs} parts, and this has {len(found)}")
    return found
