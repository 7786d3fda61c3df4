"""The rules of scoring as the ledger's application: the state's map has the keys, offers, batches and contacts."""

from collections.abc import Mapping
from typing import Any

from medward.federation.computing.application import ComputingApplication, state_at
from medward.federation.computing.records import KeyOnRecord
from medward.federation.scoring.records import (
    Offer,
    ScoringBatch,
    ScoringRecord,
    ScoringState,
    apply_scoring,
    decode_scoring_record,
)


class ScoringApplication(ComputingApplication[ScoringState]):
    """Scoring on a ledger.

    Args:
        accounts: the public key under which each member speaks, by name.
    """

    about = "scoring"
    kinds = {"keys": KeyOnRecord, "offers": Offer, "batches": ScoringBatch}  # noqa: RUF012
    counts = ("offered", "asked")

    def __init__(self, accounts: Mapping[str, bytes]) -> None:
        super().__init__(accounts, ScoringState(tuple(accounts), {}, {}, {}))

    def decoded(self, payload: bytes) -> ScoringRecord | None:
        """Return the record that a payload holds, None where it holds none."""
        return decode_scoring_record(payload)

    def applied(self, state: ScoringState, record: ScoringRecord, author: str, time: int) -> ScoringState:
        """Return the state after a member's record."""
        return apply_scoring(state, record, author, time)

    def state_of(self, members: tuple[str, ...], parts: Mapping[str, Any]) -> ScoringState:
        """Return the state of these mappings and counts, by name."""
        return ScoringState(members, **parts)


def scoring_state(snapshot: object) -> ScoringState:
    """Return the state of scoring that a snapshot of the ledger holds."""
    return state_at(snapshot, ScoringState)
