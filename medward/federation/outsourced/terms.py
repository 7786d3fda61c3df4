"""The public terms of training on encrypted rows: which columns owners encrypt, and which products of them are opened.

A table has the features of each state, then an indicator for each class. What is opened of it are the second moments of
a model in closed form, in their order: rows of each class, sums of features by class, products of features
(spec/computing.md, section 13).
"""

from collections.abc import Iterator
from functools import lru_cache

from medward.agents.closed_form.features import LEAST_FEATURES
from medward.agents.closed_form.moments import LEAST_STEPS, MOST_STEPS, moments_size
from medward.agents.closed_form.own_rows import least_rows
from medward.federation.errors import FederationError
from medward.fhe.computing.inner_product_terms import MOST_OWNERS, InnerProductTerms
from medward.fhe.computing.parameters import ComputingParameters, computing_parameters
from medward.fhe.errors import FheError
from medward.ledger.encoding import Count, Structure

#: tau, how many tasks a key opens in its life.
OUTPUTS = 1024
#: A result has so many products at most; each is 0.4 MB for each owner in the full ring.
MOST_PRODUCTS = 8192
#: What an owner's table may take in the memory of a member that computes.
MOST_TABLE_MEMORY = 1 << 32
_MOST_CLASSES, _MOST_COLUMNS, _MOST_DEGREE = 64, 4096, 32768


class BadOutsourcing(FederationError):
    """Terms under which nothing is trained on encrypted rows, or what does not fit them."""


class OutsourcedTerms(Structure, frozen=True):
    """The terms of training on encrypted rows, which are public.

    Args:
        features: m, how many random features each state has.
        states: 2 where evidence can be bought, else 1.
        classes: C.
        columns: of a row, before it is made features; without those that are computed from earlier rows.
        seed: what the features are drawn from.
        largest: F, the largest value of a feature.
        most_rows: of one owner.
        degree, scale_bits, digit: of the parameters, which have one level.
        for_tests: allow a ring that is not secure.
    """

    features: Count
    states: Count
    classes: Count
    columns: Count
    seed: Count
    largest: Count = 64
    most_rows: Count = 1 << 16
    degree: Count = 16384
    scale_bits: Count = 96
    digit: Count = 2
    for_tests: bool = False

    def check(self) -> None:
        """Refuse terms that prove no exact results, or whose results are too large.

        Raises:
            BadOutsourcing: says which number is out of its range, or what to change.
        """
        if self.features % 4 or self.features < LEAST_FEATURES or self.states not in (1, 2):
            raise BadOutsourcing(f"{self.features} features of {self.states} states: take a multiple of 4 from 16 on")
        if not 2 <= self.classes <= _MOST_CLASSES or not 1 <= self.columns <= _MOST_COLUMNS:
            raise BadOutsourcing(f"rows have 2 to {_MOST_CLASSES} classes and 1 to {_MOST_COLUMNS} columns")
        if not LEAST_STEPS <= self.largest <= MOST_STEPS:
            raise BadOutsourcing(f"features have {LEAST_STEPS} to {MOST_STEPS} steps, not {self.largest}")
        if self.degree > _MOST_DEGREE:
            raise BadOutsourcing(f"a ring of degree {self.degree} is not computed in: take {_MOST_DEGREE} at most")
        if self.numbers > MOST_PRODUCTS:
            raise BadOutsourcing(
                f"{self.features} features give {self.numbers:,} products, and a result has at most {MOST_PRODUCTS:,}: "
                "take fewer features"
            )
        if not self.least_rows <= self.most_rows:
            raise BadOutsourcing(
                f"an owner needs {self.least_rows:,} rows to hide in {self.numbers:,} numbers, and may have "
                f"{self.most_rows:,}: take fewer features or more rows"
            )
        try:
            _ = self.products
        except FheError as error:
            raise BadOutsourcing(f"no such products are computed: {error}") from None
        blocks = -(-self.most_rows // self.degree)
        if self.table_columns * 2 * blocks * 2 * self.parameters.top * self.degree * 8 > MOST_TABLE_MEMORY:
            raise BadOutsourcing(
                f"a table of {self.most_rows:,} rows and {self.table_columns} columns is too large for a member that "
                "computes: take fewer rows or features"
            )

    @property
    def parameters(self) -> ComputingParameters:
        """The parameter set."""
        return computing_parameters(self.degree, self.scale_bits, 1, self.digit, for_tests=self.for_tests)

    @property
    def products(self) -> InnerProductTerms:
        """The terms of the inner products, whoever of the owners takes part."""
        return _products(self.parameters, MOST_OWNERS * self.most_rows, self.largest, self.numbers)

    @property
    def table_columns(self) -> int:
        """How many columns a table has."""
        return self.states * self.features + self.classes

    @property
    def numbers(self) -> int:
        """K, how many numbers are opened."""
        return moments_size(self.states, self.features, self.classes)

    @property
    def least_rows(self) -> int:
        """What an owner has rows at least if all differ in all columns; it counts for itself (training.py)."""
        return least_rows(self.numbers, self.columns)

    def entries(self) -> Iterator[tuple[int, int]]:
        """Yield the two columns of each product, in the order of a model's moments."""
        first_class = self.states * self.features
        for k in range(self.classes):
            yield first_class + k, first_class + k
        for state in range(self.states):
            base = state * self.features
            for i in range(self.features):
                for k in range(self.classes):
                    yield base + i, first_class + k
            for i in range(self.features):
                for j in range(i, self.features):
                    yield base + i, base + j


@lru_cache(maxsize=8)
def _products(parameters: ComputingParameters, rows: int, largest: int, numbers: int) -> InnerProductTerms:
    return InnerProductTerms(parameters, rows, largest, MOST_OWNERS, numbers, OUTPUTS)
