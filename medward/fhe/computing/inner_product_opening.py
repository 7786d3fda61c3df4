"""Opening inner products: every owner publishes its flooded share of coefficient 0, and of nothing else.

    p_i = (c_i s_i)_0 + f_i        result = rint((coefficient 0 of c_0 + sum of p_i) / Delta^2)

All inner products that are opened together are one output of each key's budget. Coefficients 0 of c_0 and the names of
each owner's c_i are a short list, which whoever wants the results needs beside the shares; the c_i themselves, which
are long, only their owner needs. An owner must have computed them itself, or have had them recomputed
(spec/computing.md, section 12).
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from medward.fhe.arrays import Doubles
from medward.fhe.computing.context import computing_context
from medward.fhe.computing.formats.residue_rows import pack_rows
from medward.fhe.computing.inner_product_terms import InnerProductTerms
from medward.fhe.computing.inner_products import EncryptedInnerProduct, first_coefficient
from medward.fhe.computing.keys import SecretKey
from medward.fhe.computing.opening import OpeningBudget
from medward.fhe.errors import CiphertextMismatch
from medward.fhe.ring.primes import balanced
from medward.fhe.sampling import framed

_OPENING = "medward inner product opening 2"


@dataclass(frozen=True)
class ProductList:
    """Inner products that are opened together, without the owners' parts.

    Args:
        terms: of all of them.
        owners: of the keys, in alphabetical order.
        constants: coefficient 0 of each one's c_0, balanced modulo Q_T.
        parts: for each owner a name of all its c_i; equal names are equal bytes.

    Raises:
        CiphertextMismatch: there are more than the terms have, none, or not one name for each owner.
    """

    terms: InnerProductTerms
    owners: tuple[str, ...]
    constants: tuple[int, ...] = field(repr=False)
    parts: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.constants:
            raise CiphertextMismatch("an opening has at least one inner product")
        if len(self.constants) > self.terms.entries:
            raise CiphertextMismatch(
                f"the terms allow {self.terms.entries:,} inner products in an opening: open the others in another one"
            )
        if not 1 <= len(self.owners) <= self.terms.owners or len(self.parts) != len(self.owners):
            raise CiphertextMismatch(f"inner products of 1 to {self.terms.owners} owners have one name of parts each")

    @cached_property
    def digest(self) -> bytes:
        """The SHA-256 of all that is opened."""
        numbers = map(str, self.constants)
        named = framed(_OPENING, self.terms.digest, len(self.owners), *self.owners, *self.parts, *numbers)
        return hashlib.sha256(named).digest()


@dataclass(frozen=True)
class OpenedShares:
    """One owner's flooded shares of inner products that are opened together.

    Args:
        owner: whose.
        opening: the digest of the list that is opened.
        shares: p_i of each, balanced modulo Q_T.
    """

    owner: str
    opening: bytes
    shares: tuple[int, ...] = field(repr=False)


def listed(products: Sequence[EncryptedInnerProduct]) -> ProductList:
    """Return inner products as the list of one opening; parts are named by their SHA-256.

    Raises:
        CiphertextMismatch: they are not of the same terms and owners, or no opening has so many.
    """
    if len({(one.terms, one.owners) for one in products}) != 1:
        raise CiphertextMismatch("inner products that are opened together have the same terms and owners, at least one")
    terms, owners = products[0].terms, products[0].owners
    primes = terms.parameters.primes[: terms.parameters.top]
    names = []
    for place in range(len(owners)):
        found = hashlib.sha256()
        for one in products:
            found.update(pack_rows(one.parts[place], primes))
        names.append(found.hexdigest())
    return ProductList(terms, owners, tuple(one.constant for one in products), tuple(names))


def parts_of(products: Iterable[EncryptedInnerProduct], owner: str) -> Iterable[Doubles]:
    """Return one owner's part of each inner product; zeros where it has none."""
    return (one.parts[one.owners.index(owner)] for one in products)


def open_shares(
    products: ProductList, parts: Iterable[Doubles], secret: SecretKey, budget: OpeningBudget
) -> OpenedShares:
    """Spend one output of the key's budget, and return the owner's shares of inner products.

    Args:
        products: that the owner computed or had recomputed.
        parts: the owner's part of each, float64[limbs, N] in evaluation form; taken one after the other.
        secret: of one of the owners.
        budget: of that key.

    Raises:
        CiphertextMismatch: the key, the budget or the parts are not of these inner products.
        BudgetSpent: the key may open nothing more.
    """
    terms = products.terms
    if secret.owner not in products.owners:
        raise CiphertextMismatch(f"{secret.owner} has no part in inner products of {', '.join(products.owners)}")
    if (budget.key, budget.outputs, budget.bits) != (secret.fingerprint, terms.outputs, terms.bits):
        raise CiphertextMismatch(
            f"the budget is not that of the key of {secret.owner}, or not the {terms.outputs:,} outputs at "
            f"{terms.bits} bits of the terms: use the journal made with the key, and its numbers in the terms"
        )
    ring, at = computing_context(terms.parameters).ring, slice(0, terms.parameters.top)
    values = [first_coefficient(terms, ring.multiply(part, secret.s[at], at)) for part in parts]
    if len(values) != len(products.constants):
        raise CiphertextMismatch(
            f"there are {len(values):,} parts of {secret.owner} for {len(products.constants):,} inner products"
        )
    budget.spend()
    stream = secret.hedged_stream(_OPENING, products.digest)
    flood = [0] * len(values)
    for digits in reversed(terms.flood.draw(stream, len(values)).tolist()):
        flood = [terms.flood.base * f + digit for f, digit in zip(flood, digits, strict=True)]
    shares = tuple(balanced(v + f, terms.modulus) for v, f in zip(values, flood, strict=True))
    return OpenedShares(secret.owner, products.digest, shares)


def combine_shares(products: ProductList, opened: Sequence[OpenedShares]) -> list[int]:
    """Return the inner products that all owners' shares open together: exactly what the plain columns have.

    Args:
        products: as they were opened.
        opened: one of each owner.

    Raises:
        CiphertextMismatch: shares are missing, there twice, or of another opening, or open no inner product.
    """
    if sorted(one.owner for one in opened) != sorted(products.owners):
        raise CiphertextMismatch(
            f"inner products of {', '.join(products.owners)} need one list of shares of each of them"
        )
    for one in opened:
        if one.opening != products.digest or len(one.shares) != len(products.constants):
            raise CiphertextMismatch(f"the shares of {one.owner} are of another opening: ask for those of this one")
    return [
        _exact(products.terms, constant + sum(shares))
        for constant, *shares in zip(products.constants, *(one.shares for one in opened), strict=True)
    ]


def _exact(terms: InnerProductTerms, opened: int) -> int:
    """Return the integer that a sum of shares stands for."""
    square, total = 1 << 2 * terms.scale_bits, balanced(opened, terms.modulus)
    value = (2 * total + square) // (2 * square)
    if abs(total - value * square) > terms.error or abs(value) > terms.most:
        raise CiphertextMismatch(
            "the shares open no inner product of these terms: an owner's share or the computation is wrong; "
            "compute again, and ask each owner for its shares again"
        )
    return value
