"""Products of ciphertexts of several owners, brought back to terms at 1 and at each s_i.

Two methods do the same: that of Chen, Dai, Kim and Song (CDKS) decomposes the term at s_i s_j of every pair of owners,
that of Kim, Kwak, Lee, Seo and Song (KKLSS) the parts of every owner, into twice as many digits. Which one is taken
follows from the owners of the factors and from whether their keys allow it, so that all who recompute a product take
the same (spec/computing.md, section 7).
"""

from collections.abc import Mapping
from enum import Enum

import numpy as np

from medward.fhe.arrays import Doubles, Integers
from medward.fhe.computing.ciphertexts import Ciphertext, CiphertextVector
from medward.fhe.computing.context import ComputingContext
from medward.fhe.computing.keys import EvaluationKey, gadget_elements
from medward.fhe.errors import CiphertextMismatch

#: What a decomposition into gadget digits, with its share of the products, costs beside one into ordinary digits; the
#: measured times of docs/results/computing.md give 1.6.
GADGET_COST = 1.6

Factor = Ciphertext | CiphertextVector
"""A ciphertext, or several of which the products are added; only pairs take several."""

Owned = Mapping[str, EvaluationKey]
"""The evaluation keys of the owners of both factors, by name."""


class Relinearisation(Enum):
    """How products of ciphertexts are relinearised."""

    CDKS = "CDKS"
    KKLSS = "KKLSS"


def cheaper(a: Factor, b: Factor, keys: Owned) -> Relinearisation:
    """Return the method that takes less time for these owners, of those that their keys allow."""
    if any(key.gadget is None for key in keys.values()):
        return Relinearisation.CDKS
    pairs = _pairs(a, b)
    by_pairs = len(pairs) + len({i for i, j in pairs if i != j})
    by_owners = len(a.owners) + len(b.owners) + min(len(a.owners), len(b.owners))
    return Relinearisation.KKLSS if GADGET_COST * by_owners < by_pairs else Relinearisation.CDKS


def switching_noise(context: ComputingContext, a: Factor, b: Factor, method: Relinearisation) -> float:
    """Return V, a bound on the noise that relinearising a b adds, before the division by P."""
    if method is Relinearisation.KKLSS:
        few, many = sorted((len(a.owners), len(b.owners)))
        return context.noise.gadget_relinearisation(a.level, few, many)
    pairs = _pairs(a, b)
    different = {pair for pair in pairs if pair[0] != pair[1]}
    firsts = len({pair[0] for pair in different})
    return context.noise.relinearisation(a.level, len(pairs) - len(different), len(different), firsts)


def product(context: ComputingContext, a: Factor, b: Factor, keys: Owned, method: Relinearisation) -> list[Doubles]:
    """Return P times the terms of a b at 1 and at the s_i of each owner in alphabetical order, over Q_l P.

    Args:
        context: of both.
        a, b: at one level.
        keys: of all owners of both, under one label.
        method: how the other terms are brought to these.

    Raises:
        CiphertextMismatch: a key has no gadget part, and the method needs it.
    """
    if method is Relinearisation.CDKS:
        totals, quadratic = _terms(context, a, b, list(keys), _pairs(a, b))
        _by_pairs(context, a.level, quadratic, keys, totals)
    else:
        for owner, key in keys.items():
            if key.gadget is None:
                raise CiphertextMismatch(
                    f"the evaluation key of {owner} was made without a gadget: ask for one with it"
                )
        if isinstance(a, CiphertextVector) or isinstance(b, CiphertextVector):
            raise CiphertextMismatch("several products at once are relinearised by pairs of owners")
        totals, _ = _terms(context, a, b, list(keys), [])
        few, many = (a, b) if len(a.owners) <= len(b.owners) else (b, a)
        _by_owners(context, few, many, keys, totals)
    return [totals[owner] for owner in ("", *sorted(keys))]


def _pairs(a: Factor, b: Factor) -> list[tuple[str, str]]:
    """Return the pairs i <= j of owners at whose s_i s_j a product has a term."""
    return sorted({(min(i, j), max(i, j)) for i in a.owners for j in b.owners})


def _terms(
    context: ComputingContext, a: Factor, b: Factor, owners: list[str], pairs: list[tuple[str, str]]
) -> tuple[dict[str, Doubles], dict[tuple[str, str], Doubles]]:
    """Return P times the terms of a product at 1 (named "") and at each s_i, and those at s_i s_j of these pairs."""
    names = [*(("", owner) for owner in ("", *owners)), *pairs]
    places = {name: place for place, name in enumerate(names)}
    terms: Integers = np.array(
        [[places.get((min(i, j), max(i, j)), -1) for j in ("", *b.owners)] for i in ("", *a.owners)]
    )
    linear, quadratic = context.zero(a.level, 1 + len(owners)), context.element(a.level, len(pairs))
    x, y = (one.parts.reshape(-1, *one.parts.shape[-3:]) for one in (a, b))
    context.cross(x, y, terms, a.level, linear, quadratic)
    return dict(zip(("", *owners), linear, strict=True)), dict(zip(pairs, quadratic, strict=True))


def _by_pairs(
    context: ComputingContext,
    level: int,
    quadratic: dict[tuple[str, str], Doubles],
    keys: Owned,
    totals: dict[str, Doubles],
) -> None:
    """Add the terms at s_i s_j, times P, to the terms at 1 and each s_i over Q_l P (CDKS)."""
    waiting: dict[str, Doubles] = {}
    for (i, j), term in quadratic.items():
        h = context.digits(term, level)
        if i == j:
            context.add_products(h, (keys[i].square.k, keys[i].square.a), level, (totals[""], totals[i]))
            continue
        if i not in waiting:
            waiting[i] = context.zero(level)[0]
        context.add_products(h, (keys[j].b, keys[i].d2), level, (waiting[i], totals[j]))
    for i, total in waiting.items():
        h = context.digits(context.down(total, level, 0, context.element(level)[0]), level)
        context.add_products(h, (keys[i].d0, keys[i].d1), level, (totals[""], totals[i]))


def _by_owners(
    context: ComputingContext, a: Ciphertext, b: Ciphertext, keys: Owned, totals: dict[str, Doubles]
) -> None:
    """Add the terms at all s_i s_j, times P, to the terms at 1 and each s_i over Q_l P (KKLSS).

    It goes digit by digit, so that it needs room for one digit of every part, not for all.
    """
    level, size = a.level, context.parameters.gadget_digit
    gadgets = {owner: key.gadget for owner, key in keys.items() if key.gadget is not None}
    parts = _coefficients(context, a)
    other_parts = parts if a is b else _coefficients(context, b)
    waiting = {owner: context.zero(level)[0] for owner in a.owners}
    for d, digit in enumerate(context.parameters.digits(level, size)):
        h = _digit(context, level, digit, parts)
        other_h = h if a is b else _digit(context, level, digit, other_parts)
        x, y = context.zero(level, 2)
        for i in a.owners:
            context.add_product(h[i], gadgets[i].d[d], level, x)
        for j in b.owners:
            context.add_product(other_h[j], gadgets[j].b[d], level, y)
        for j in b.owners:
            context.add_product(other_h[j], x, level, totals[j])
        for i in a.owners:
            context.add_product(h[i], y, level, waiting[i])
    _, u = gadget_elements(context.parameters, next(iter(keys.values())).label)
    for i, total in waiting.items():
        h_w = context.digits(context.down(total, level, 0, context.element(level)[0]), level, size)
        context.add_products(h_w, (gadgets[i].v, u), level, (totals[""], totals[i]))


def _coefficients(context: ComputingContext, a: Ciphertext) -> dict[str, tuple[Doubles, Doubles]]:
    """Return each owner's part in evaluation and in coefficient form."""
    at = context.at(a.level)
    return {
        owner: (part, context.ring.inverse(part.copy(), at)) for owner, part in zip(a.owners, a.parts[1:], strict=True)
    }


def _digit(
    context: ComputingContext, level: int, digit: range, parts: dict[str, tuple[Doubles, Doubles]]
) -> dict[str, Doubles]:
    """Return one digit of each part, float64[limbs + K, N]."""
    out = context.zero(level, len(parts))
    for h, (values, coefficients) in zip(out, parts.values(), strict=True):
        context.write_digit(values, coefficients, level, digit, h)
    return dict(zip(parts, out, strict=True))
