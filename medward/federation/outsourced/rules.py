"""The rules of training on encrypted rows: what a record changes, or why it is refused; all pure.

Which cohorts may be summed is the rule of the round (medward/federation/round/exposure.py). What a member has in the
state is bounded, whatever it orders.
"""

from dataclasses import replace

import msgspec

from medward.federation.computing.records import KeyPublished, number_of, oldest, stands, with_key, with_opened
from medward.federation.errors import RecordRefused
from medward.federation.outsourced.records import (
    OutsourcedPlan,
    OutsourcedRecord,
    OutsourcedState,
    OutsourcedTask,
    PlanProposed,
    ProductsComputed,
    SharesCommitted,
    SharesRevealed,
    TableEncrypted,
    TaskAsked,
    TaskDeclined,
    TaskEnded,
)
from medward.federation.outsourced.terms import BadOutsourcing
from medward.federation.round.exposure import added, isolates
from medward.fhe.computing.inner_product_terms import MOST_OWNERS
from medward.fhe.errors import FheError

#: Plans of one author that stay on record, and newest tasks of a plan.
MOST_PLANS, MOST_TASKS = 4, 16


def apply_outsourced(state: OutsourcedState, record: OutsourcedRecord, author: str, time: int) -> OutsourcedState:
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
        case PlanProposed():
            return _proposed(state, record, author)
        case TableEncrypted():
            return _encrypted(state, record, author)
        case TaskAsked():
            return _asked(state, record, author, time)
        case ProductsComputed():
            return _computed(state, record, author, time)
        case SharesCommitted():
            return _committed(state, record, author, time)
        case SharesRevealed():
            return _revealed(state, record, author, time)
        case TaskDeclined():
            return _declined(state, record, author)
        case TaskEnded():
            return _ended(state, record, time)
        case _:
            return state


def _proposed(state: OutsourcedState, record: PlanProposed, author: str) -> OutsourcedState:
    if state.least_owners > MOST_OWNERS:
        raise RecordRefused(
            f"among {len(state.members)} members a sum needs {state.least_owners} owners, and {MOST_OWNERS} keys "
            "compute together at most: take a federation of 9 members or fewer"
        )
    try:
        record.terms.check()
    except (BadOutsourcing, FheError) as error:
        raise RecordRefused(f"nothing is computed by such a plan: {error}") from None
    used = {table.plan for table in state.tables.values()} | {task.asked.plan for task in state.tasks.values()}
    own = [number for number, plan in state.plans.items() if plan.author == author]
    free = [number for number in own if number not in used and not state.plans[number].cohorts]
    gone = set(oldest(free, len(own) + 1 - MOST_PLANS))
    if len(own) - len(gone) >= MOST_PLANS:
        raise RecordRefused(f"{author} has {MOST_PLANS} plans for which owners have encrypted rows; use one of them")
    plans = {number: plan for number, plan in state.plans.items() if number not in gone}
    plans[number_of(state.proposed + 1)] = OutsourcedPlan(author, record)
    return replace(state, plans=plans, proposed=state.proposed + 1)


def _encrypted(state: OutsourcedState, record: TableEncrypted, author: str) -> OutsourcedState:
    plan = _plan(state, record.plan)
    if author not in state.keys:
        raise RecordRefused(f"{author} has published no key, so nobody can compute with its rows")
    terms = plan.proposed.terms
    if not terms.least_rows <= record.rows <= terms.most_rows:
        raise RecordRefused(f"a table of plan {record.plan} has {terms.least_rows:,} to {terms.most_rows:,} rows")
    if state.counted(author):
        raise RecordRefused(
            f"rows of {author} stand in a sum already: the difference of two sums would tell what changed in them"
        )
    return replace(state, tables={**state.tables, author: record})


def _asked(state: OutsourcedState, record: TaskAsked, author: str, time: int) -> OutsourcedState:
    plan = _plan(state, record.plan)
    if author != plan.author:
        raise RecordRefused(f"{plan.author} asks for tasks of plan {record.plan}, and nobody else")
    owners = record.owners
    if list(owners) != sorted(set(owners)) or not set(owners) <= set(state.members):
        raise RecordRefused("the owners of a task are members in alphabetical order, each once")
    without = [owner for owner in owners if owner not in state.tables or state.tables[owner].plan != record.plan]
    if without:
        raise RecordRefused(f"{', '.join(without)} encrypted no rows for plan {record.plan}")
    if len(owners) < state.least_owners:
        raise RecordRefused(f"a sum needs {state.least_owners} owners at least, so that nobody's rows are told by it")
    if isolates(plan.summed, frozenset(owners), state.least_owners):
        raise RecordRefused(
            f"with what was summed before, the moments of {', '.join(owners)} tell of fewer than "
            f"{state.least_owners} owners: ask for the same owners as before"
        )
    own = {number: task for number, task in state.tasks.items() if task.asked.plan == record.plan}
    if any(not task.closed for task in own.values()):
        raise RecordRefused(f"a task of plan {record.plan} is open; ask again once it is over")
    gone = set(oldest(own, len(own) + 1 - MOST_TASKS))
    tasks = {number: task for number, task in state.tasks.items() if number not in gone}
    tables = tuple(state.tables[owner] for owner in owners)
    tasks[number_of(state.asked + 1)] = OutsourcedTask(author, record, time, tables)
    return replace(state, tasks=tasks, asked=state.asked + 1)


def _computed(state: OutsourcedState, record: ProductsComputed, author: str, time: int) -> OutsourcedState:
    task = _open(state, record.task, time)
    if author in dict(task.results):
        raise RecordRefused(f"{author} has computed task {record.task} already")
    results, agreed = (*task.results, (author, record.result)), task.agreed
    if not agreed and stands(results, record.result, task.asker, state.faulty):
        agreed = record.result
    return _with(state, record.task, msgspec.structs.replace(task, results=results, agreed=agreed))


def _committed(state: OutsourcedState, record: SharesCommitted, author: str, time: int) -> OutsourcedState:
    task = _open(state, record.task, time)
    _check_owner(task, record.task, author)
    if not task.agreed or record.result != task.agreed:
        raise RecordRefused(f"{state.faulty + 1} members have not computed this result of task {record.task}")
    if author in dict(task.commitments):
        raise RecordRefused(f"{author} is bound to its shares of task {record.task} already")
    if record.shares in dict(task.commitments).values():
        raise RecordRefused(f"these shares of task {record.task} are another owner's")
    commitments = (*task.commitments, (author, record.shares))
    state = replace(state, keys=with_opened(state.keys, author, 1))
    if len(commitments) < len(task.owners):
        return _with(state, record.task, msgspec.structs.replace(task, commitments=commitments))
    plan = state.plans[task.asked.plan]
    known = tuple(tuple(sorted(cohort)) for cohort in added(plan.summed, frozenset(task.owners)))
    state = replace(state, plans={**state.plans, task.asked.plan: msgspec.structs.replace(plan, cohorts=known)})
    return _with(state, record.task, msgspec.structs.replace(task, commitments=commitments, committed=time))


def _revealed(state: OutsourcedState, record: SharesRevealed, author: str, time: int) -> OutsourcedState:
    task = _open(state, record.task, time)
    _check_owner(task, record.task, author)
    if not task.committed:
        raise RecordRefused(f"not all owners of task {record.task} are bound to their shares: nobody shows its own yet")
    if author in task.revealed:
        raise RecordRefused(f"{author} has shown its shares of task {record.task} already")
    return _with(state, record.task, msgspec.structs.replace(task, revealed=(*task.revealed, author)))


def _declined(state: OutsourcedState, record: TaskDeclined, author: str) -> OutsourcedState:
    task = _open(state, record.task, 0)
    if task.agreed:  # what is declined is to open, and owners alone open
        _check_owner(task, record.task, author)
        ended = f"{author} declined: {record.reason}"
        return _with(state, record.task, msgspec.structs.replace(task, ended=ended))
    if author in dict(task.declined):
        raise RecordRefused(f"{author} has declined task {record.task} already")
    declined, ended = (*task.declined, (author, record.reason)), ""
    if len(declined) > state.faulty:
        ended = "; ".join(f"{name} declined: {reason}" for name, reason in declined)
    return _with(state, record.task, msgspec.structs.replace(task, declined=declined, ended=ended))


def _ended(state: OutsourcedState, record: TaskEnded, time: int) -> OutsourcedState:
    task = _open(state, record.task, 0)
    if time < task.deadline:
        raise RecordRefused(f"the time of task {record.task} is not over")
    return _with(state, record.task, msgspec.structs.replace(task, ended=task.missing()))


def _plan(state: OutsourcedState, number: str) -> OutsourcedPlan:
    if number not in state.plans:
        raise RecordRefused(f"there is no plan {number}")
    return state.plans[number]


def _open(state: OutsourcedState, number: str, time: int) -> OutsourcedTask:
    """Return a task for which something may still be done at a time; 0 for at any."""
    if number not in state.tasks:
        raise RecordRefused(f"there is no task {number}")
    task = state.tasks[number]
    if task.closed:
        raise RecordRefused(f"task {number} is closed")
    if time >= task.deadline:
        raise RecordRefused(f"the time of task {number} is over")
    return task


def _check_owner(task: OutsourcedTask, number: str, author: str) -> None:
    if author not in task.owners:
        raise RecordRefused(f"task {number} is opened by {', '.join(task.owners)}, not by {author}")


def _with(state: OutsourcedState, number: str, task: OutsourcedTask) -> OutsourcedState:
    return replace(state, tasks={**state.tasks, number: task})
