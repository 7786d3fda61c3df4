"""A server's operations on ciphertexts: add, multiply, rotate, conjugate and lower (spec/computing.md, section 7).

Every operation first bounds the error of its result, and refuses where that would be too large.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from medward.fhe.arrays import Doubles
from medward.fhe.computing import relinearisation
from medward.fhe.computing.ciphertexts import Ciphertext, CiphertextVector, Plaintext, side_by_side
from medward.fhe.computing.context import computing_context
from medward.fhe.computing.keys import EvaluationKey, power_of_rotation
from medward.fhe.computing.noise import ErrorBound
from medward.fhe.computing.relinearisation import Factor, Relinearisation
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
    return inner_product_plain(side_by_side([a]), [b])


def inner_product_plain(a: CiphertextVector, b: Sequence[Plaintext], total: float | None = None) -> Ciphertext:
    """Return the sum of the products of ciphertexts with encoded slots, rescaled once, one level lower.

    Args:
        a, b: the factors, equally many, at one level.
        total: at least the sum of the plaintexts' absolute values in every slot; without it, that of their bounds.
    """
    if len(a) != len(b):
        raise CiphertextMismatch(f"vectors of {len(a)} and {len(b)} elements have no product")
    for one in b:
        _same_level(a, one)
    _has_level(a)
    context, level, noise = computing_context(a.parameters), a.level, computing_context(a.parameters).noise
    worst = ErrorBound(*(max(getattr(one.bound, name) for one in b) for name in ("size", "noise", "coding")))
    most = sum(one.bound.size for one in b)
    total = most if total is None else min(total, most)
    bound = noise.inner_product(a.bound, worst, total, len(b), level, 0.0, len(a.owners))
    bound = noise.accept(bound, level - 1, "multiply")
    parts, at = context.element(level - 1, 1 + len(a.owners)), context.at(level)
    for place, out in enumerate(parts):
        sum_of = context.ring.multiply(a.parts[0, place], b[0].element, at)
        for factor, one in zip(a.parts[1:, place], b[1:], strict=True):
            context.ring.multiply_add(factor, one.element, sum_of, at)
        context.rescale(sum_of, level, out)
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


def multiply(a: Ciphertext, b: Ciphertext, keys: Keys, method: Relinearisation | None = None) -> Ciphertext:
    """Return a b, relinearised and rescaled in one, one level lower; both at one level, under whatever owners.

    Args:
        a, b: the factors.
        keys: of all owners of both.
        method: of relinearisation; the cheaper one where left out.

    Raises:
        LevelsSpent, CiphertextMismatch: the factors are at level 0, at different levels, or a key is missing.
        NoiseTooLarge: the result's error could be more than the parameters tolerate.
    """
    used = keys_of_both(a, b, keys)
    return _multiplied(a, b, used, method or relinearisation.cheaper(a, b, used), b.bound.size, 1)


def inner_product(a: CiphertextVector, b: CiphertextVector, keys: Keys, total: float | None = None) -> Ciphertext:
    """Return the sum of the products of two vectors, relinearised and rescaled once, one level lower.

    Args:
        a, b: the factors, equally many, at one level.
        keys: of all owners of both.
        total: at least the sum of the absolute values of the second factors in every slot, as their owner promises;
            without it, as many times their bound.

    Raises:
        LevelsSpent, CiphertextMismatch, NoiseTooLarge: see `multiply`.
    """
    if len(a) != len(b):
        raise CiphertextMismatch(f"vectors of {len(a)} and {len(b)} ciphertexts have no product")
    used, most = keys_of_both(a, b, keys), len(b) * b.bound.size
    return _multiplied(a, b, used, Relinearisation.CDKS, most if total is None else min(total, most), len(b))


def keys_of_both(a: Factor, b: Factor, keys: Keys) -> dict[str, EvaluationKey]:
    """Return the keys of the owners of two factors that can be multiplied."""
    _same_level(a, b)
    _has_level(a)
    owners = _owners(a, b)
    used = {owner: key_of(keys, owner, a) for owner in owners}
    if len({key.label for key in used.values()}) > 1:
        raise CiphertextMismatch(
            f"the keys of {', '.join(owners)} were made under different labels: make them under one"
        )
    return used


def _multiplied(
    a: Factor, b: Factor, keys: dict[str, EvaluationKey], method: Relinearisation, total: float, count: int
) -> Ciphertext:
    """Return the sum of `count` products, of whose second factors the absolute values are `total` together."""
    context, level, owners = computing_context(a.parameters), a.level, tuple(keys)
    switching = relinearisation.switching_noise(context, a, b, method)
    bound = context.noise.inner_product(a.bound, b.bound, total, count, level, switching, len(owners))
    bound = context.noise.accept(bound, level - 1, "multiply")
    parts = context.element(level - 1, 1 + len(owners))
    for of, out in zip(relinearisation.product(context, a, b, keys, method), parts, strict=True):
        context.down(of, level, 1, out)
    return Ciphertext(a.parameters, level - 1, owners, parts, bound)


def key_of(keys: Keys, owner: str, a: Factor) -> EvaluationKey:
    """Return an owner's evaluation key, which must be of the ciphertext's parameters."""
    key = keys.get(owner)
    if key is None:
        raise CiphertextMismatch(f"the evaluation key of {owner} is missing")
    if key.parameters != a.parameters:
        raise CiphertextMismatch(f"the evaluation key of {owner} is of other parameters than the ciphertext")
    return key


def _same_level(a: Factor, b: Factor | Plaintext) -> None:
    if a.parameters != b.parameters:
        raise CiphertextMismatch("the operands are of different parameters")
    if a.level != b.level:
        raise CiphertextMismatch(f"the operands are at levels {a.level} and {b.level}: lower one of them first")


def _has_level(a: Factor) -> None:
    if a.level == 0:
        raise LevelsSpent(f"no level is left to multiply: the parameters have {a.parameters.levels}; take more")


def _owners(a: Factor, b: Factor) -> tuple[str, ...]:
    return tuple(sorted({*a.owners, *b.owners}))


def _spread(a: Ciphertext, owners: tuple[str, ...]) -> Doubles:
    """Return the parts of a ciphertext as one of more owners, float64[1 + owners, limbs, N]."""
    if a.owners == owners:
        return a.parts
    out = np.zeros((1 + len(owners), *a.parts.shape[1:]))
    for owner, part in zip(("", *a.owners), a.parts, strict=True):
        out[0 if owner == "" else 1 + owners.index(owner)] = part
    return out
