"""The next step of a member by the ledger, and an owner's look at what it opens: pure rules."""

from collections.abc import Iterator, Mapping

from medward.federation.computing.work import ComputingWork
from medward.federation.outsourced.records import OutsourcedState, OutsourcedTask
from medward.federation.outsourced.terms import BadOutsourcing, OutsourcedTerms
from medward.fhe.computing.inner_product_opening import OpenedShares, ProductList, combine_shares
from medward.fhe.errors import CiphertextMismatch


def tasks_of(state: OutsourcedState, member: str, computes: bool, now: int) -> Iterator[ComputingWork]:
    """Yield what a member has to do by the ledger, the oldest task first.

    Args:
        state: of the ledger.
        member: its name.
        computes: whether it computes for others.
        now: milliseconds by the member's own clock; the ledger has its own, which alone decides.
    """
    for number, task in sorted(state.tasks.items()):
        if task.opened:
            yield ComputingWork("combine", number)
        elif task.ended:
            continue
        elif now >= task.deadline:
            yield ComputingWork("end", number)
        else:
            yield from (ComputingWork(kind, number) for kind in _steps(task, member, computes))


def _steps(task: OutsourcedTask, member: str, computes: bool) -> Iterator[str]:
    if computes and not task.agreed and member not in {**dict(task.results), **dict(task.declined)}:
        yield "compute"
    if member not in task.owners:
        return
    if task.agreed and member not in dict(task.commitments):
        yield "commit"
    elif task.committed and member not in task.revealed:
        yield "reveal"


def blobs_of(state: OutsourcedState) -> set[str]:
    """Return the names of all blobs that are on record and still needed; shares are there once they are revealed.

    Keys are among them, since a table or a result can name anything: the blob of another's key, for instance.
    """
    names = {known.published.key for known in state.keys.values()}
    names |= {plan.proposed.preparation for plan in state.plans.values()}
    names |= {table.table for table in state.tables.values()}
    for task in state.tasks.values():
        if task.ended:
            continue
        names |= {task.agreed, *(name for owner, name in task.commitments)}
        if not task.closed:
            names |= {*(result for _, result in task.results), *(table.table for table in task.tables)}
    return names - {""}


def holders_of(state: OutsourcedState, task: OutsourcedTask) -> Mapping[str, str]:
    """Return the owners of a task by their names in ciphertexts, in alphabetical order of these."""
    return dict(sorted((state.keys[one].published.holder, one) for one in task.owners))


def check_products(terms: OutsourcedTerms, products: ProductList, holders: Mapping[str, str]) -> None:
    """Refuse what cannot be a task's result, whoever says that it is.

    Args:
        terms: of the plan.
        products: the list.
        holders: as `holders_of` returns them.

    Raises:
        BadOutsourcing: its terms, owners or number are others.
    """
    if products.terms != terms.products or len(products.constants) != terms.numbers:
        raise BadOutsourcing(f"a result has {terms.numbers} products, and this has {len(products.constants)}")
    if products.owners != tuple(holders):
        raise BadOutsourcing(
            f"a result is under the keys of {', '.join(holders)}, and this under {', '.join(products.owners)}"
        )


def opened_numbers(products: ProductList, shares: Mapping[str, OpenedShares]) -> list[int]:
    """Return the integers that all owners' shares open.

    Args:
        products: the list.
        shares: by the owner's name in ciphertexts, under which its blob is on record.

    Raises:
        BadOutsourcing: a blob has another owner's shares, or they open nothing.
    """
    for holder, one in shares.items():
        if one.owner != holder:
            raise BadOutsourcing(f"{holder} revealed shares of {one.owner}")
    try:
        return combine_shares(products, list(shares.values()))
    except CiphertextMismatch as error:
        raise BadOutsourcing(f"the shares of the task open no result: {error}") from None
