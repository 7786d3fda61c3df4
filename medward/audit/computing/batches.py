"""Encrypted scores: every batch computed again from the encrypted model and flows, and what the vendor opened.

Only the hospital gets the scores, so nobody else sees whether the vendor's part opens them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from medward.audit.computing.blobs import AuditedBlobs, name_of_file
from medward.audit.computing.federation import AuditedComputing, NoSuchResult, PastWork, named_keys
from medward.audit.findings import AuditResult, Finding
from medward.federation.computing.records import KeyPublished
from medward.federation.scoring.answers import (
    check_result,
    most_flows_bytes,
    most_model_bytes,
    most_result_bytes,
    read_parts,
)
from medward.federation.scoring.circuit import scored_batch
from medward.federation.scoring.records import (
    BatchAsked,
    ModelOffered,
    Offer,
    PartOpened,
    ResultComputed,
    ScoringBatch,
    ScoringState,
)
from medward.fhe.computing.formats.ciphertext_files import read_ciphertexts, write_ciphertexts
from medward.fhe.computing.formats.ciphertexts import ciphertext_digest

_MOST_OWNERS = 2


@dataclass(frozen=True)
class PastBatch(PastWork):
    """A batch, and the offer that it is for."""

    batch: ScoringBatch
    offer: Offer


class AuditedScoring(AuditedComputing[ScoringState, PastBatch]):
    """A federation that scores; see `AuditedComputing`."""

    unit, groups = "batch", ("batches",)
    state_type = ScoringState

    def named_by(self, record: object, author: str) -> Iterator[tuple[str, str]]:
        """Yield (name, what it is) of the blobs that a record names."""
        match record:
            case KeyPublished(key=name):
                yield name, f"the evaluation key of {author}"
            case ModelOffered(model=model, preparation=preparation):
                yield model, f"the encrypted model of {author}"
                yield preparation, f"how flows are prepared for a model of {author}"
            case BatchAsked(flows=name):
                yield name, f"encrypted flows of {author}"
            case ResultComputed(batch=number, result=name):
                yield name, f"what {author} computed for batch {int(number)}"
            case PartOpened(batch=number, part=name):
                yield name, f"the part of {author} of batch {int(number)}"

    def numbers_of(self, state: ScoringState) -> Mapping[str, object]:
        """Return the batches that are on record, by number."""
        return state.batches

    def work_of(self, state: ScoringState, number: str, *, kept: bool) -> PastBatch:
        """Return a batch as it stands in a state."""
        batch = state.batches[number]
        offer = state.offers[batch.asked.offer]
        what = f"batch {int(number)}"
        needed = named_keys(state.keys, (offer.vendor, batch.hospital)) | {
            offer.offered.model: f"the encrypted model of {offer.vendor}",
            offer.offered.preparation: f"how flows are prepared for a model of {offer.vendor}",
            batch.asked.flows: f"the encrypted flows of {batch.hospital} in {what}",
            batch.agreed: f"the result of {what}",
            batch.part: f"the part of {offer.vendor} of {what}",
        }
        for_tests = offer.offered.terms.for_tests
        return PastBatch(number, batch.results, batch.agreed, bool(batch.part), needed, kept, for_tests, batch, offer)

    def told_of(self, state: ScoringState, number: str) -> tuple[str, str]:
        """Return what a batch is, and how it ended."""
        batch = state.batches[number]
        flows = "1 flow" if batch.asked.rows == 1 else f"{batch.asked.rows:,} flows"
        what = f"{flows} of {batch.hospital}, offer {int(batch.asked.offer)}"
        if batch.part:
            return what, "opened"
        if state.closed(number):
            return what, "; ".join(f"{name} declined: {reason}" for name, reason in batch.declined)
        return what, "computed, not opened" if batch.agreed else "not answered"

    def computed(self, state: ScoringState, work: PastBatch, blobs: AuditedBlobs) -> str:
        """Compute a batch's result again, and return its name."""
        terms, batch, offer = work.offer.offered.terms, work.batch, work.offer
        with self.reading(f"batch {int(work.number)}"):
            hospital, vendor = (
                self.key_of(state.keys, name, terms.parameters, blobs) for name in (batch.hospital, offer.vendor)
            )
            flows, model = (
                read_ciphertexts(blobs.stream(name, most), terms.parameters, _MOST_OWNERS, input_only=True)
                for name, most in (
                    (batch.asked.flows, most_flows_bytes(terms)),
                    (offer.offered.model, most_model_bytes(terms)),
                )
            )
            result = scored_batch(terms, flows, model, hospital, vendor)
            return name_of_file(lambda file: write_ciphertexts(file, terms.parameters, result))

    def check_opened(self, state: ScoringState, work: PastBatch, blobs: AuditedBlobs, found: AuditResult) -> None:
        """Check that the vendor's part is one of the result; whether it opens the scores the hospital alone sees."""
        terms, vendor = work.offer.offered.terms, work.offer.vendor
        holders = tuple(state.keys[name].published.holder for name in (vendor, work.batch.hospital))
        most = most_result_bytes(terms)
        try:
            with self.reading(f"what was opened of batch {int(work.number)}"):
                content = blobs.stream(work.agreed, most)
                results = list(read_ciphertexts(content, terms.parameters, _MOST_OWNERS))
                check_result(terms, results, (holders[0], holders[1]))
        except NoSuchResult:
            return  # told already: it is not what follows
        found.count("parts")
        told = f"the part of {vendor} of batch {int(work.number)} is none of its result"
        try:
            with self.reading(told):
                parts = read_parts(terms, blobs.get(work.batch.part, most))
        except NoSuchResult as error:
            found.remarks.append(Finding(f"{error}", name=work.batch.part, guilty=(vendor,)))
            return
        fits = (
            part.owner == holders[0] and part.ciphertext == ciphertext_digest(one)
            for part, one in zip(parts, results, strict=True)
        )
        if not all(fits):
            found.remarks.append(Finding(told, name=work.batch.part, guilty=(vendor,)))
