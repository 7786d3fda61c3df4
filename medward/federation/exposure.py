"""Which cohort may be summed, after all that was ever opened, or may be known, of the same unknowns.

Sums of one question (spec/round.md, "Many rounds") are linear equations over what each hospital contributed to it. A
cohort is refused if some combination of these equations would tell of a group that is not empty and smaller than the
least cohort. A pairwise comparison does not see that: A - B - C may leave one hospital where no two of them do.

    atom      hospitals that are in exactly the same cohorts; in a combination they have one and the same factor
    support   the hospitals whose factor is not zero; a union of atoms
"""

from collections import Counter
from collections.abc import Set as AbstractSet
from fractions import Fraction
from itertools import combinations

Cohort = frozenset[str]
#: Cohorts of one question among which the smallest support is searched for exactly; with more, atoms decide. Three have
#: at most 7 atoms and 21 hyperplanes; four, with 15 and 455, would take a member of 64 a fifth of a second.
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

    A hospital that was away when a sum was opened, and is back, would keep every later round from being summed if all
    had to be summed together; without it the same sum as before is asked for, and tells nothing new.

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
    rank = _rank([list(column[:-1]) for column in columns])
    return rank == _rank([list(column) for column in columns])


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


def _normal(columns: tuple[tuple[int, ...], ...], size: int) -> list[Fraction] | None:
    """Return the factors, one for each cohort, that vanish on these atoms; None where they are not unique."""
    rows = _reduced([[Fraction(x) for x in column] for column in columns])
    pivots = [next(k for k, x in enumerate(row) if x) for row in rows]
    free = [k for k in range(size) if k not in pivots]
    if len(free) != 1:
        return None
    factors = [Fraction(0)] * size
    factors[free[0]] = Fraction(1)
    for row, pivot in zip(rows, pivots, strict=True):
        factors[pivot] = -row[free[0]]
    return factors


def _rank(matrix: list[list[int]]) -> int:
    return len(_reduced([[Fraction(x) for x in row] for row in matrix]))


def _reduced(matrix: list[list[Fraction]]) -> list[list[Fraction]]:
    """Return the rows of the reduced echelon form that are not zero."""
    rows: list[list[Fraction]] = []
    for given in matrix:
        row = given
        for other in rows:
            pivot = next(k for k, x in enumerate(other) if x)
            row = [x - row[pivot] * y for x, y in zip(row, other, strict=True)]
        lead = next((k for k, x in enumerate(row) if x), None)
        if lead is None:
            continue
        row = [x / row[lead] for x in row]
        rows = [[x - other[lead] * y for x, y in zip(other, row, strict=True)] for other in rows] + [row]
    return rows
