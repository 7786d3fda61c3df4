"""Plans and tasks as a node tells them: JSON values without secrets."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from medward.federation.outsourced.records import OutsourcedState, OutsourcedTask
from medward.node.outsourced.folder import OutsourcedFolder

#: What `told_of_ledger` tells.
TOLD_OF_LEDGER = ("plan", "rows", "tables", "results", "result", "shares", "ended")


def told_of_plans(state: OutsourcedState) -> Sequence[Mapping[str, Any]]:
    """Return the plans, the latest first, each with who has encrypted how many rows for it."""
    return [
        {
            "plan": number,
            "author": plan.author,
            "features": plan.proposed.terms.features,
            "terms": msgspec.to_builtins(plan.proposed.terms),
            "least_rows": plan.proposed.terms.least_rows,
            "rows": {owner: table.rows for owner, table in state.tables.items() if table.plan == number},
        }
        for number, plan in sorted(state.plans.items(), reverse=True)
    ]


def told_of_ledger(task: OutsourcedTask) -> Mapping[str, Any]:
    """Return what the ledger says of a task that is over, the same at every member; None in what it never came to."""
    return {
        "plan": task.asked.plan,
        "rows": {owner: table.rows for owner, table in zip(task.owners, task.tables, strict=True)},
        "tables": {owner: table.table for owner, table in zip(task.owners, task.tables, strict=True)},
        "results": dict(task.results),
        "result": task.agreed or None,
        "shares": dict(task.commitments),
        "ended": task.ended or None,
    }


def told_of_task(state: OutsourcedState, number: str, folder: OutsourcedFolder) -> Mapping[str, Any]:
    """Return where a task stands, and its model's folder where this member has made it.

    Args:
        state: of the ledger.
        number: the task's.
        folder: the member's.
    """
    task, model, refused = state.tasks[number], folder.models / number, folder.models / f"{number}.refused"
    what = _stand(task, state.faulty)
    if task.opened and refused.exists():
        what = f"opened, but no model: {refused.read_text().strip()}"
    return {
        "task": number,
        **told_of_ledger(task),
        "owners": list(task.owners),
        "state": what,
        "closed": task.closed,
        "model": str(model) if (model / "model.json").exists() else None,
    }


def _stand(task: OutsourcedTask, faulty: int) -> str:
    if task.ended:
        return f"void: {task.ended}"
    if task.opened:
        return "opened"
    if task.committed:
        return f"{len(task.revealed)} of {len(task.owners)} owners have shown their shares"
    if task.agreed:
        return f"{len(task.commitments)} of {len(task.owners)} owners are bound to their shares"
    if len({result for _, result in task.results}) > 1:
        told = ", ".join(f"{name}: {result[-8:]}" for name, result in task.results)
        return f"the results differ ({told}), and nobody opens one before {faulty + 1} members have the same"
    return f"{len(task.results)} of {faulty + 1} members have computed it"
