"""Which cohort may be summed, after all that was ever decrypted, or may be known, of the same unknowns.

Sums of one question (spec/round.md, "Many rounds") are linear equations over what each hospital contributed to it. A
cohort is refused if some combination of these equations would tell of a group that is not empty and smaller than the
least cohort. A pairwise comparison does not see that: A - B - C may leave one hospital where no two of them do.

    atom      hospitals that are in exactly the same cohorts; in a combination they have one and the same factor
    support   the hospitals whose factor is not zero; a union of atoms
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from itertools import combinations
from math import gcd, lcm

Cohort = frozenset[str]
#: Cohorts of one question among which the smallest support is searched for exactly; with more, atoms decide. Three have
#: at most 7 atoms and 21 hyperplanes; four have 15 and 455.
SEARCHED = 3


def added(known: tuple[Cohort, ...], cohort: AbstractSet[str]) -> tuple[Cohort, ...]:
    """Return cohorts whose sums tell as much as those known and this one; never more than there are hospitals."""
    fresh = frozenset(cohort)
    return known if _depends(known, fresh) else (*known, fresh)


def isolates(known: tuple[Cohort, ...], cohort: AbstractSet[str], least: int) -> bool:
    """Return whether the sum of a cohort would, with those known, tell of a group smaller than the least cohort.

    Where it cannot be said for certain that it does not, it counts as if it did: that is so for more than SEARCHED
    independent cohorts some of whose atoms are small.

    Args:
        known: cohorts of the same question, as `added` returns them.
        cohort: whose contributions are to be summed.
        least: no group that is smaller may be told of.
    """
    fresh = frozenset(cohort)
    if _depends(known, fresh):
        return False  # whoever knows the others knows this sum
    rows = (*known, fresh)
    atoms = _atoms(rows)
    if min(atoms.values()) >= least:
        return False
    return len(rows) > SEARCHED or _smallest_support(atoms) < least


def allowed(known: tuple[Cohort, ...], cohort: AbstractSet[str], least: int) -> Cohort:
    """Return the part of a cohort that may be summed: all of it, or the largest known cohort within it, or nobody.

    A hospital that was away when a sum was decrypted, and is back, would keep every later round from being summed if
    all had to be summed together; without it the same sum as before is asked for, and tells nothing new.

    Args:
        known, cohort, least: as in `isolates`.
    """
    if not isolates(known, cohort, least):
        return frozenset(cohort)
    within = [one for one in known if one <= cohort and len(one) >= least]
    return max(within, key=lambda one: (len(one), sorted(one)), default=frozenset())


def _atoms(rows: tuple[Cohort, ...]) -> Counter[tuple[int, ...]]:
    """Return how many hospitals each atom has, by the cohorts that it is in."""
    hospitals = frozenset[str]().union(*rows)
    return Counter(tuple(int(hospital in row) for row in rows) for hospital in hospitals)


def _depends(known: tuple[Cohort, ...], fresh: Cohort) -> bool:
    """Whether the sum of `fresh` is a combination of those known."""
    columns = list(_atoms((*known, fresh)))
    return _rank([column[:-1] for column in columns]) == _rank(columns)


def _smallest_support(atoms: Counter[tuple[int, ...]]) -> int:
    """Return the size of the smallest support of a combination that is not zero everywhere.

    The zeros of a combination with a smallest support are the atoms on a hyperplane that is spanned by atoms, so it is
    enough to look at the combinations that vanish on as many independent atoms as there are cohorts, less one.
    """
    columns = list(atoms)
    size = len(columns[0])
    smallest = sum(atoms.values())
    for chosen in combinations(columns, size - 1):
        factors = _normal(chosen, size)
        if factors is not None:
            told = (n for column, n in atoms.items() if sum(f * x for f, x in zip(factors, column, strict=True)))
            smallest = min(smallest, sum(told))
    return smallest


def _normal(columns: tuple[tuple[int, ...], ...], size: int) -> list[int] | None:
    """Return factors, one for each cohort, that vanish on these atoms; None where not only their multiples do."""
    rows = _reduce(columns)
    pivots = [_lead(row) for row in rows]
    free = [k for k in range(size) if k not in pivots]
    if len(free) != 1:
        return None
    factors = [0] * size
    factors[free[0]] = lcm(*(row[pivot] for row, pivot in zip(rows, pivots, strict=True)))
    for row, pivot in zip(rows, pivots, strict=True):
        factors[pivot] = -row[free[0]] * (factors[free[0]] // row[pivot])
    return factors


def _rank(matrix: list[tuple[int, ...]]) -> int:
    return len(_reduce(matrix))


def _reduce(matrix: Iterable[Sequence[int]]) -> list[list[int]]:
    """Return the rows of a reduced echelon form in whole numbers that are not zero."""
    rows: list[list[int]] = []
    for given in matrix:
        row = list(given)
        for other in rows:
            row = _clear(row, other, _lead(other))
        if not any(row):
            continue
        pivot = _lead(row)
        rows = [_clear(other, row, pivot) for other in rows] + [row]
    return rows


def _clear(row: list[int], by: list[int], place: int) -> list[int]:
    """Return a multiple of `row`, less one of `by`, that is zero at a place where `by` is not."""
    if not row[place]:
        return row
    cleared = [by[place] * x - row[place] * y for x, y in zip(row, by, strict=True)]
    common = gcd(*cleared)
    return [x // common for x in cleared] if common > 1 else cleared


def _lead(row: list[int]) -> int:
    return next(place for place, x in enumerate(row) if x)
