"""The blobs that members name in a round: who named each, and how long it must be."""

from collections.abc import Iterator, Mapping, Sequence

from medward.federation.round.state import Round
from medward.federation.sums.interface import Blob, SecureSum


def authors_of(now: Round) -> dict[str, tuple[str, ...]]:
    """Return who named each blob; a liar may name what another member made."""
    authors: dict[str, tuple[str, ...]] = {}
    for name, _, author, _ in _names(now):
        authors[name] = tuple(dict.fromkeys((*authors.get(name, ()), author)))
    return authors


def sizes_of(now: Round, sums: SecureSum) -> dict[str, tuple[int, ...]]:
    """Return how many bytes each blob has: one length, or several where it was named as several things.

    Whatever has another length fits nothing that it was named as.
    """
    sizes: dict[str, tuple[int, ...]] = {}
    for name, kind, author, about in _names(now):
        size = sums.expected_bytes(now.sum_terms, kind, author, about)
        sizes[name] = tuple(dict.fromkeys((*sizes.get(name, ()), size)))
    return sizes


def _names(now: Round) -> Iterator[tuple[str, Blob, str, Sequence[str]]]:
    """Yield each name, what it was named as, by whom, and about whom."""
    for member, submitted in now.submissions.items():
        yield submitted.contribution, "contribution", member, ()
        yield submitted.response, "response", member, ()
    for dealer, name in now.shown.items():
        yield name, "shown", dealer, now.complainers(dealer)
    for holder, name in now.answers.items():
        yield name, "answer", holder, now.cohort
    said: Mapping[str, str]
    for said in now.accusations.values():
        for holder, name in said.items():
            yield name, "share", holder, ()
