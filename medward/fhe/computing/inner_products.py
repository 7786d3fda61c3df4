"""Columns of integers, encrypted, and their exact inner products, such as the entries of a Gram matrix.

    x(X) = sum of x_j X^j,   y~(X) = y(1/X):      coefficient 0 of x(X) y~(X) = sum of x_j y_j

Which numbers may be so multiplied: `inner_product_terms.py`; how owners open the results: `inner_product_opening.py`
(spec/computing.md, section 12).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from medward.fhe.arrays import Doubles, Integers
from medward.fhe.computing import relinearisation
from medward.fhe.computing.ciphertexts import CiphertextVector, expanded_c1
from medward.fhe.computing.context import computing_context
from medward.fhe.computing.evaluation import Keys, keys_of_both
from medward.fhe.computing.formats.fields import SEED_BYTES
from medward.fhe.computing.inner_product_terms import InnerProductTerms
from medward.fhe.computing.keys import SecretKey
from medward.fhe.computing.noise import ErrorBound
from medward.fhe.computing.parameters import ERROR_VARIANCE
from medward.fhe.computing.relinearisation import Relinearisation
from medward.fhe.errors import CiphertextMismatch
from medward.fhe.ring.primes import balanced
from medward.fhe.sampling import gaussian


@dataclass(frozen=True, eq=False)
class EncryptedColumn:
    """A column of integers in blocks of N rows; make one with `encrypt_column`.

    Args:
        terms: that it was encrypted for.
        owner: of the key.
        rows: how many integers.
        reverse: whether blocks are y(1/X), the second factors.
        blocks: one ciphertext a block.
        seeds: that c_1 of each block is expanded from.
    """

    terms: InnerProductTerms
    owner: str
    rows: int
    reverse: bool
    blocks: CiphertextVector = field(repr=False)
    seeds: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, eq=False)
class EncryptedInnerProduct:
    """An inner product that its owners can open, among others (inner_product_opening.py).

    Args:
        terms: of its columns.
        owners: in alphabetical order.
        constant: coefficient 0 of c_0, balanced modulo Q_T.
        parts: c_1, ..., c_k, float64[owners, limbs, N] in evaluation form.
    """

    terms: InnerProductTerms
    owners: tuple[str, ...]
    constant: int
    parts: Doubles = field(repr=False)


def encrypt_column(
    secret: SecretKey, terms: InnerProductTerms, values: Integers, *, reverse: bool = False
) -> EncryptedColumn:
    """Encrypt a column of integers under its owner's secret.

    Args:
        secret: the owner's.
        terms: of all columns that are multiplied.
        values: int64[rows]; 1 to `terms.rows` of them, absolute values at most `terms.largest`.
        reverse: make a second factor.

    Raises:
        CiphertextMismatch: values or a key that are not of these terms.
    """
    if secret.parameters != terms.parameters:
        raise CiphertextMismatch(f"the key of {secret.owner} is of other parameters than the terms")
    if values.dtype != np.int64 or values.ndim != 1 or not 1 <= len(values) <= terms.rows:
        raise CiphertextMismatch(f"a column is a list of 1 to {terms.rows:,} integers of 64 bits")
    if values.min() < -terms.largest or values.max() > terms.largest:
        raise CiphertextMismatch(f"an integer is larger than {terms.largest:,}, which the terms allow: clip first")
    parameters, level = terms.parameters, terms.parameters.levels
    context, degree = computing_context(parameters), parameters.degree
    ring, at = context.ring, context.at(level)
    blocks = -(-len(values) // degree)
    padded = np.zeros((blocks, degree), np.int64)
    padded.ravel()[: len(values)] = values
    parts, seeds = np.empty((blocks, 2, parameters.top, degree)), list[bytes]()
    for row, (c0, c1) in zip(padded, parts, strict=True):
        block = np.concatenate([row[:1], -row[:0:-1]]) if reverse else row
        # The scale is part of the occasion: under one seed and error, two scales would show the message.
        message = hashlib.sha256(block.astype("<i8").tobytes()).digest()
        stream = secret.hedged_stream("column", level, terms.scale_bits, message)
        seeds.append(stream.take(SEED_BYTES))
        c1[:] = expanded_c1(parameters, secret.owner, level, seeds[-1])
        error = gaussian(stream, ERROR_VARIANCE, degree)
        hidden = ring.embed(np.stack([error, block]), 1 << terms.scale_bits, at)
        c0[:] = ring.subtract(hidden, ring.multiply(c1, secret.s[at], at), at)
    return column_of(terms, secret.owner, len(values), reverse, parts, seeds)


def column_of(
    terms: InnerProductTerms, owner: str, rows: int, reverse: bool, parts: Doubles, seeds: Sequence[bytes]
) -> EncryptedColumn:
    """Return a column from its blocks.

    Args:
        terms, owner, rows, reverse: as `EncryptedColumn` has them.
        parts: c_0 and c_1 of each block, float64[blocks, 2, limbs, N] in evaluation form.
        seeds: of each block's c_1.
    """
    parameters, level = terms.parameters, terms.parameters.levels
    size = 2.0**terms.scale_bits * parameters.degree * terms.largest / float(parameters.scales[level])
    bound = ErrorBound(size, computing_context(parameters).noise.error, 0.0)
    vector = CiphertextVector(parameters, level, (owner,), parts, bound)
    return EncryptedColumn(terms, owner, rows, reverse, vector, tuple(seeds))


def encrypted_inner_product(
    pairs: Sequence[tuple[EncryptedColumn, EncryptedColumn]], keys: Keys
) -> EncryptedInnerProduct:
    """Return the sum of the inner products of pairs of columns, relinearised once for each two owners.

    Args:
        pairs: a first and a second factor each, all of the same terms.
        keys: evaluation keys of all their owners.

    Raises:
        CiphertextMismatch: columns that do not belong together, more rows or owners than the terms have, or no key.
    """
    terms = _checked(pairs)
    context, level = computing_context(terms.parameters), terms.parameters.levels
    groups = dict[tuple[str, str], list[tuple[Doubles, Doubles]]]()
    vectors = dict[tuple[str, str], tuple[CiphertextVector, CiphertextVector]]()
    for pair in pairs:
        a, b = sorted(pair, key=lambda column: column.owner)
        groups.setdefault((a.owner, b.owner), []).append((a.blocks.parts, b.blocks.parts))
        vectors[a.owner, b.owner] = a.blocks, b.blocks
    owners = tuple(sorted({owner for both in groups for owner in both}))
    constant, parts = 0, np.zeros((len(owners), terms.parameters.top, terms.parameters.degree))
    for both, blocks in sorted(groups.items()):
        x, y = (_joined(like, [factor[side] for factor in blocks]) for side, like in enumerate(vectors[both]))
        used = keys_of_both(x, y, keys)
        first, *others = relinearisation.product(context, x, y, used, Relinearisation.CDKS)
        room = context.element(level)[0]
        constant += first_coefficient(terms, context.down(first, level, 0, room))
        for owner, other in zip(used, others, strict=True):
            total = parts[owners.index(owner)]
            context.ring.add(total, context.down(other, level, 0, room), context.at(level), total)
    return EncryptedInnerProduct(terms, owners, balanced(constant, terms.modulus), parts)


def _checked(pairs: Sequence[tuple[EncryptedColumn, EncryptedColumn]]) -> InnerProductTerms:
    """Return the terms of pairs whose inner products may be added."""
    columns = [column for pair in pairs for column in pair]
    if len({column.terms for column in columns}) != 1:
        raise CiphertextMismatch("columns of the same terms have an inner product, and at least one pair of them")
    terms = columns[0].terms
    for a, b in pairs:
        if a.rows != b.rows or a.reverse or not b.reverse:
            raise CiphertextMismatch(
                f"columns of {a.rows:,} and {b.rows:,} rows: a pair has a first and a reversed second, equally long"
            )
    rows, owners = sum(a.rows for a, _ in pairs), len({column.owner for column in columns})
    blocks = sum(len(a.blocks) for a, _ in pairs)
    if rows > terms.rows or owners > terms.owners or blocks > terms.blocks:
        raise CiphertextMismatch(
            f"{rows:,} rows in {blocks:,} blocks of {owners} owners: the terms allow {terms.rows:,}, {terms.blocks:,} "
            f"and {terms.owners}"
        )
    return terms


def _joined(like: CiphertextVector, parts: Sequence[Doubles]) -> CiphertextVector:
    joined = np.concatenate(parts) if len(parts) > 1 else parts[0]
    return CiphertextVector(like.parameters, like.level, like.owners, joined, like.bound)


def first_coefficient(terms: InnerProductTerms, element: Doubles) -> int:
    """Return coefficient 0, balanced modulo Q_T, of an element in evaluation form, which is overwritten."""
    ring, at = computing_context(terms.parameters).ring, slice(0, len(element))
    (value,) = ring.integers(ring.inverse(element, at)[:, :1], at)
    return value
