"""Opening a result to others: every owner adds a flooded part, each of which is counted before it is made.

    p_i = c_i s_i + f_i        result = c_0 + sum of p_i

An owner must have computed the ciphertext itself, or have had it recomputed: what it opens is what it is given
(spec/computing.md, section 9).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Protocol

from medward.fhe.arrays import Doubles
from medward.fhe.computing.ciphertexts import Ciphertext, decoded
from medward.fhe.computing.context import computing_context
from medward.fhe.computing.encoder import Slots
from medward.fhe.computing.flooding import FloodShape, flood_shape, flooding_width
from medward.fhe.computing.formats.ciphertexts import ciphertext_digest
from medward.fhe.computing.keys import SecretKey
from medward.fhe.computing.noise import ErrorBound
from medward.fhe.computing.parameters import BASE_PRIMES, ComputingParameters
from medward.fhe.errors import CiphertextMismatch


class OpeningBudget(Protocol):
    """Counts what a key has opened, for good."""

    @property
    def key(self) -> str:
        """The fingerprint of the key."""

    @property
    def outputs(self) -> int:
        """tau, how many outputs the key opens in its life."""

    @property
    def bits(self) -> int:
        """s; all outputs together tell of their noise 2^-(s/2)."""

    def spend(self) -> None:
        """Count one output, durably, before this returns.

        Raises:
            BudgetSpent: none is left.
        """


@dataclass(frozen=True, eq=False)
class OpenedPart:
    """One owner's part of an opened result.

    Args:
        owner: whose.
        parameters: of the ciphertext.
        ciphertext: the ciphertext's digest.
        flood: how its noise was drawn.
        element: p_i, float64[base primes, N] in evaluation form.
    """

    owner: str
    parameters: ComputingParameters
    ciphertext: bytes
    flood: FloodShape
    element: Doubles = field(repr=False)


@dataclass(frozen=True, eq=False)
class OpenedResult:
    """Slots that may be shown.

    Args:
        values: complex128[N/2].
        slot_error: a bound on their root mean square error.
    """

    values: Slots
    slot_error: float


def open_part(ciphertext: Ciphertext, secret: SecretKey, budget: OpeningBudget, coarseness: float = 0.0) -> OpenedPart:
    """Spend one output of the key's budget, and return the owner's part of the result.

    Args:
        ciphertext: that the owner computed or had recomputed, with the bound of that computation.
        secret: of one of its owners.
        budget: of that key.
        coarseness: the least root mean square error of a slot that the part adds, for results that shall not be exact.

    Raises:
        CiphertextMismatch: the key is none of the ciphertext's, or the budget another key's.
        NoiseTooLarge: flooding would leave too little of the result.
        BudgetSpent: the key may open nothing more.
    """
    if secret.owner not in ciphertext.owners or secret.parameters != ciphertext.parameters:
        raise CiphertextMismatch(f"{secret.owner} has no part in a ciphertext of {', '.join(ciphertext.owners)}")
    if budget.key != secret.fingerprint:
        raise CiphertextMismatch(f"the budget is not that of the key of {secret.owner}: use the journal made with it")
    context, degree = computing_context(ciphertext.parameters), ciphertext.parameters.degree
    coarse = coarseness * ciphertext.parameters.scales[ciphertext.level] / sqrt(degree)
    shape = flood_shape(max(coarse, flooding_width(ciphertext.bound, degree, budget.outputs, budget.bits)))
    context.noise.accept(_flooded(ciphertext, [shape] * len(ciphertext.owners)), ciphertext.level, "open")
    budget.spend()
    at = slice(0, BASE_PRIMES)
    digest = ciphertext_digest(ciphertext)
    stream = secret.hedged_stream("open", digest, shape.base, shape.digits)
    flood = context.ring.embed(shape.draw(stream, degree), shape.base, at)
    part = ciphertext.parts[1 + ciphertext.owners.index(secret.owner), at]
    element = context.ring.multiply_add(part, secret.s[at], flood, at)
    return OpenedPart(secret.owner, ciphertext.parameters, digest, shape, element)


def combine(ciphertext: Ciphertext, parts: Sequence[OpenedPart]) -> OpenedResult:
    """Return what all owners' parts open together.

    Raises:
        CiphertextMismatch: a part is missing, there twice, or of another ciphertext.
        NoiseTooLarge: all noise together leaves too little of the result.
    """
    if sorted(part.owner for part in parts) != list(ciphertext.owners):
        raise CiphertextMismatch(f"a result of {', '.join(ciphertext.owners)} needs one part of each of them")
    digest = ciphertext_digest(ciphertext)
    for part in parts:
        if part.ciphertext != digest:
            raise CiphertextMismatch(f"the part of {part.owner} is of another ciphertext: ask for one of this result")
    context, at = computing_context(ciphertext.parameters), slice(0, BASE_PRIMES)
    bound = context.noise.accept(_flooded(ciphertext, [part.flood for part in parts]), ciphertext.level, "open")
    phase = ciphertext.parts[0, at].copy()
    for part in parts:
        phase = context.ring.add(phase, part.element, at)
    opened = Ciphertext(ciphertext.parameters, ciphertext.level, ciphertext.owners, ciphertext.parts, bound)
    return OpenedResult(decoded(opened, phase), opened.slot_error)


def _flooded(ciphertext: Ciphertext, floods: Sequence[FloodShape]) -> ErrorBound:
    bound, model = ciphertext.bound, computing_context(ciphertext.parameters).noise
    return ErrorBound(bound.size, bound.noise + sum(model.gaussian(flood.width) for flood in floods), bound.coding)
