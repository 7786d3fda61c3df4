"""Which cohorts may be summed: large enough, and far enough from any cohort whose sum of the same round is known.

Two sums whose cohorts differ by few members subtract to those members' updates (spec/scheme.md, attack 6).
"""

from collections.abc import Set

from medward.fhe.errors import SumRejected


def least_cohort(colluders: int) -> int:
    """Return the smallest cohort in which `colluders` members cannot isolate another's update."""
    return max(3, colluders + 2)


def check_successor(before: Set[int], after: Set[int], least: int) -> None:
    """Check a cohort that takes the place of one whose sum may be known (after a void round or a rollback).

    The new cohort equals the old one, or the members only in the one and only in the other are each none or at least
    `least`.

    Raises:
        SumRejected: the two sums would subtract to too few members' updates.
    """
    for label, members in (("leaves out", before - after), ("adds", after - before)):
        if 0 < len(members) < least:
            raise SumRejected(
                f"the cohort {label} members {sorted(members)} only, which the earlier sum would give away; "
                f"none or at least {least} may differ"
            )
