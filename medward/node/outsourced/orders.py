"""Orders that a member's operator leaves in its folder, for its node to carry out."""

import io
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np

from medward.federation.computing.records import Number
from medward.federation.outsourced.records import LEAST_DEADLINE, MOST_DEADLINE
from medward.federation.outsourced.terms import OutsourcedTerms
from medward.fhe.arrays import Integers
from medward.ledger.encoding import Name, Structure, encode
from medward.node.computing.orders import check_not_refused
from medward.node.errors import NodeError
from medward.node.home.private_files import write_private
from medward.node.outsourced.folder import OutsourcedFolder


class PlanFile(Structure, frozen=True):
    """A plan to be proposed: how rows are prepared, and the terms."""

    preparation: bytes
    terms: OutsourcedTerms


class TaskFile(Structure, frozen=True):
    """A task to be asked for.

    Args:
        plan: the plan's number.
        owners: the cohort; empty for all that have encrypted rows for the plan.
        deadline: how long owners may take for each of both steps, in milliseconds.
    """

    plan: Number
    owners: tuple[Name, ...]
    deadline: Annotated[int, msgspec.Meta(ge=LEAST_DEADLINE, le=MOST_DEADLINE)]


def leave_plan(folder: OutsourcedFolder, preparation: bytes, terms: OutsourcedTerms) -> Path:
    """Leave a plan to be proposed, and return the file, which is gone once the node has carried it out."""
    return _leave(folder.plans, "plan", encode(PlanFile(preparation, terms)))


def leave_rows(folder: OutsourcedFolder, plan: str, columns: Integers) -> Path:
    """Leave columns to be encrypted for a plan; see `leave_plan`."""
    content = io.BytesIO()
    np.savez(content, plan=plan, columns=columns)
    return _leave(folder.rows, "npz", content.getvalue())


def leave_task(folder: OutsourcedFolder, plan: str, owners: Sequence[str], deadline: int) -> Path:
    """Leave a task to be asked for.

    Args:
        folder: the member's.
        plan: the plan's number.
        owners: the cohort; nobody for all that have encrypted rows.
        deadline: in milliseconds.

    Returns:
        The file; see `leave_plan`.

    Raises:
        NodeError: the deadline is out of its range.
    """
    if not LEAST_DEADLINE <= deadline <= MOST_DEADLINE:
        raise NodeError(
            f"owners have {LEAST_DEADLINE // 1000} second to {MOST_DEADLINE // 86_400_000} days for each of both steps"
        )
    return _leave(folder.tasks, "task", encode(TaskFile(plan, tuple(sorted(owners)), deadline)))


def carried_out(folder: OutsourcedFolder, order: Path) -> str | None:
    """Return the number that an order got, None as long as the node has not carried it out.

    Raises:
        NodeError: the node put it aside; the sentence is the node's.
    """
    if order.exists():
        return None
    check_not_refused(folder.folder, order)
    done = folder.folder / f"{order.stem}.done"
    number = done.read_text().strip()
    done.unlink()
    return number


def _leave(folder: Path, kind: str, content: bytes) -> Path:
    order = folder / f"{secrets.token_hex(8)}.{kind}"
    write_private(order, content)
    return order
