"""The rules of training on encrypted rows as the ledger's application."""

from collections.abc import Mapping
from typing import Any

from medward.federation.computing.application import ComputingApplication, state_at
from medward.federation.computing.records import KeyOnRecord
from medward.federation.outsourced.records import (
    OutsourcedPlan,
    OutsourcedRecord,
    OutsourcedState,
    OutsourcedTask,
    TableEncrypted,
    decode_outsourced_record,
)
from medward.federation.outsourced.rules import apply_outsourced


class OutsourcedApplication(ComputingApplication[OutsourcedState]):
    """Training on encrypted rows by a ledger.

    Args:
        accounts: the public key under which each member speaks, by name.
    """

    about = "training on encrypted rows"
    kinds = {"keys": KeyOnRecord, "plans": OutsourcedPlan, "tables": TableEncrypted, "tasks": OutsourcedTask}  # noqa: RUF012
    counts = ("proposed", "asked")

    def __init__(self, accounts: Mapping[str, bytes]) -> None:
        super().__init__(accounts, OutsourcedState(tuple(accounts), {}, {}, {}, {}))

    def decoded(self, payload: bytes) -> OutsourcedRecord | None:
        """Return the record that a payload holds, None where it holds none."""
        return decode_outsourced_record(payload)

    def applied(self, state: OutsourcedState, record: OutsourcedRecord, author: str, time: int) -> OutsourcedState:
        """Return the state after a member's record."""
        return apply_outsourced(state, record, author, time)

    def state_of(self, members: tuple[str, ...], parts: Mapping[str, Any]) -> OutsourcedState:
        """Return the state of these mappings and counts, by name."""
        return OutsourcedState(members, **parts)


def outsourced_state(snapshot: object) -> OutsourcedState:
    """Return the state of training on encrypted rows that a snapshot of the ledger holds."""
    return state_at(snapshot, OutsourcedState)
