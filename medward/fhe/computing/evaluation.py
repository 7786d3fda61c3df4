"""A server's operations on ciphertexts: add, multiply, rotate, conjugate and lower (spec/computing.md, section 7).

Every operation first bounds the error of its result, and refuses where that would be too large.
"""

from collections.abc import Mapping

import numpy as np

from medward.fhe.arrays import Doubles
from medward.fhe.computing.ciphertexts import Ciphertext, Plaintext
from medward.fhe.computing.context import ComputingContext, computing_context
from medward.fhe.computing.keys import EvaluationKey, power_of_rotation
from medward.fhe.computing.residues import permute
from medward.fhe.errors import CiphertextMismatch, LevelsSpent

Keys = Mapping[str, EvaluationKey]
"""The evaluation keys of all owners, by name."""


def add(a: Ciphertext, b: Ciphertext) -> Ciphertext:
    """Return a + b; both at one level, under whatever owners."""
    return _combined(a, b, "add")


def subtract(a: Ciphertext, b: Ciphertext) -> Ciphertext:
    """Return a - b; both at one level, under whatever owners."""
    return _combined(a, b, "subtract")


def _combined(a: Ciphertext, b: Ciphertext, operation: str) -> Ciphertext:
    _same_level(a, b)
    context = computing_context(a.parameters)
    bound = context.noise.accept(context.noise.add(a.bound, b.bound), a.level, operation)
    owners = _owners(a, b)
    x, y = _spread(a, owners), _spread(b, owners)
    act = context.ring.add if operation == "add" else context.ring.subtract
    parts = np.stack([act(one, other, context.at(a.level)) for one, other in zip(x, y, strict=True)])
    return Ciphertext(a.parameters, a.level, owners, parts, bound)


def add_plain(a: Ciphertext, b: Plaintext) -> Ciphertext:
    """Return a + b for encoded slots at the same level."""
    _same_level(a, b)
    context = computing_context(a.parameters)
    bound = context.noise.accept(context.noise.add(a.bound, b.bound), a.level, "add")
    parts = a.parts.copy()
    context.ring.add(parts[0], b.element, context.at(a.level), parts[0])
    return Ciphertext(a.parameters, a.level, a.owners, parts, bound)


def multiply_plain(a: Ciphertext, b: Plaintext) -> Ciphertext:
    """Return a b, one level lower, for encoded slots at the same level."""
    _same_level(a, b)
    _has_level(a)
    context, level = computing_context(a.parameters), a.level
    noise = context.noise
    bound = noise.accept(noise.multiply(a.bound, b.bound, level, 0.0, len(a.owners)), level - 1, "multiply")
    parts = context.element(level - 1, len(a.parts))
    for part, out in zip(a.parts, parts, strict=True):
        context.rescale(context.ring.multiply(part, b.element, context.at(level)), level, out)
    return Ciphertext(a.parameters, level - 1, a.owners, parts, bound)


def lower(a: Ciphertext, level: int) -> Ciphertext:
    """Return a ciphertext of the same slots at a lower level, at that level's scale."""
    if level == a.level:
        return a
    if not 0 <= level < a.level:
        raise LevelsSpent(f"a ciphertext at level {a.level} cannot be brought to level {level}: levels only fall")
    parameters, context = a.parameters, computing_context(a.parameters)
    divisor, scale = parameters.divisor(level + 1), parameters.scales[a.level]
    factor = (2 * parameters.scales[level] * divisor + scale) // (2 * scale)
    bound = context.noise.lowered(a.bound, a.level, level, factor, len(a.owners))
    bound = context.noise.accept(bound, level, "lower")
    at = context.at(level + 1)
    parts = context.element(level, len(a.parts))
    for part, out in zip(a.parts, parts, strict=True):
        context.rescale(context.ring.scale_add(part[at], factor, np.zeros_like(part[at]), at), level + 1, out)
    return Ciphertext(parameters, level, a.owners, parts, bound)


def rotate(a: Ciphertext, steps: int, keys: Keys) -> Ciphertext:
    """Return the slots rotated to the left: slot j of the result is slot j + steps of `a`."""
    return _moved(a, power_of_rotation(a.parameters, steps), keys, f"a rotation by {steps}")


def conjugate(a: Ciphertext, keys: Keys) -> Ciphertext:
    """Return the complex conjugates of the slots."""
    return _moved(a, 2 * a.parameters.degree - 1, keys, "a conjugation")


def _moved(a: Ciphertext, power: int, keys: Keys, what: str) -> Ciphertext:
    """Apply X -> X^power to every part, and switch those of the owners back to their secrets."""
    context, level = computing_context(a.parameters), a.level
    bound = context.noise.accept(context.noise.switched(a.bound, level, len(a.owners)), level, what)
    places = context.ring.automorphism(power)
    totals = context.zero(level, len(a.parts))
    totals[0] = context.times_special(permute(a.parts[0], places), level)
    for owner, part, total in zip(a.owners, a.parts[1:], totals[1:], strict=True):
        key = key_of(keys, owner, a).automorphisms.get(power)
        if key is None:
            raise CiphertextMismatch(f"the evaluation key of {owner} was made without {what}: ask for one with it")
        h = context.digits(permute(part, places), level)
        context.add_products(h, (key.k, key.a), level, (totals[0], total))
    parts = context.element(level, len(totals))
    for total, out in zip(totals, parts, strict=True):
        context.down(total, level, 0, out)
    return Ciphertext(a.parameters, level, a.owners, parts, bound)


def multiply(a: Ciphertext, b: Ciphertext, keys: Keys) -> Ciphertext:
    """Return a b, relinearised and rescaled in one, one level lower; both at one level, under whatever owners.

    Args:
        a, b: the factors.
        keys: of all owners of both.

    Raises:
        LevelsSpent, CiphertextMismatch: the factors are at level 0, at different levels, or a key is missing.
        NoiseTooLarge: the result's error could be more than the parameters tolerate.
    """
    _same_level(a, b)
    _has_level(a)
    context, level, owners = computing_context(a.parameters), a.level, _owners(a, b)
    used = {owner: key_of(keys, owner, a) for owner in owners}
    if len({key.label for key in used.values()}) > 1:
        raise CiphertextMismatch(
            f"the keys of {', '.join(owners)} were made under different labels: make them under one"
        )
    pairs = {(i, j) for x in a.owners for y in b.owners for i, j in [sorted((x, y))]}
    different = {pair for pair in pairs if pair[0] != pair[1]}
    noise = context.noise
    switching = noise.relinearisation(
        level, len(pairs) - len(different), len(different), len({pair[0] for pair in different})
    )
    bound = noise.multiply(a.bound, b.bound, level, switching, len(owners))
    bound = noise.accept(bound, level - 1, "multiply")
    totals, quadratic = _products(context, a, b, owners)
    _relinearise(context, level, quadratic, used, totals)
    parts = context.element(level - 1, 1 + len(owners))
    for owner, out in zip(("", *owners), parts, strict=True):
        context.down(totals[owner], level, 1, out)
    return Ciphertext(a.parameters, level - 1, owners, parts, bound)


def _products(
    context: ComputingContext, a: Ciphertext, b: Ciphertext, owners: tuple[str, ...]
) -> tuple[dict[str, Doubles], dict[tuple[str, str], Doubles]]:
    """Return P times the terms of a product at 1 (named "") and at each s_i, and those at s_i s_j, i <= j."""
    found = [[(min(i, j), max(i, j)) for j in ("", *b.owners)] for i in ("", *a.owners)]
    pairs = sorted({term for row in found for term in row if term[0]})
    names = [*(("", owner) for owner in ("", *owners)), *pairs]
    terms = np.array([[names.index(term) for term in row] for row in found])
    linear, quadratic = context.zero(a.level, 1 + len(owners)), context.element(a.level, len(pairs))
    context.cross(a.parts, b.parts, terms, a.level, linear, quadratic)
    return dict(zip(("", *owners), linear, strict=True)), dict(zip(pairs, quadratic, strict=True))


def _relinearise(
    context: ComputingContext,
    level: int,
    quadratic: dict[tuple[str, str], Doubles],
    keys: Mapping[str, EvaluationKey],
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


def key_of(keys: Keys, owner: str, a: Ciphertext) -> EvaluationKey:
    """Return an owner's evaluation key, which must be of the ciphertext's parameters."""
    key = keys.get(owner)
    if key is None:
        raise CiphertextMismatch(f"the evaluation key of {owner} is missing")
    if key.parameters != a.parameters:
        raise CiphertextMismatch(f"the evaluation key of {owner} is of other parameters than the ciphertext")
    return key


def _same_level(a: Ciphertext, b: Ciphertext | Plaintext) -> None:
    if a.parameters != b.parameters:
        raise CiphertextMismatch("the operands are of different parameters")
    if a.level != b.level:
        raise CiphertextMismatch(f"the operands are at levels {a.level} and {b.level}: lower one of them first")


def _has_level(a: Ciphertext) -> None:
    if a.level == 0:
        raise LevelsSpent(f"no level is left to multiply: the parameters have {a.parameters.levels}; take more")


def _owners(a: Ciphertext, b: Ciphertext) -> tuple[str, ...]:
    return tuple(sorted({*a.owners, *b.owners}))


def _spread(a: Ciphertext, owners: tuple[str, ...]) -> Doubles:
    """Return the parts of a ciphertext as one of more owners, float64[1 + owners, limbs, N]."""
    if a.owners == owners:
        return a.parts
    out = np.zeros((1 + len(owners), *a.parts.shape[1:]))
    for owner, part in zip(("", *a.owners), a.parts, strict=True):
        out[0 if owner == "" else 1 + owners.index(owner)] = part
    return out
