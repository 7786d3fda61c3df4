"""Products under the keys of one to eight owners, by pairs and by owners: their results, bounds and choice."""

from collections.abc import Iterable
from dataclasses import replace
from functools import reduce

import numpy as np
import pytest

from medward.fhe.arrays import Doubles
from medward.fhe.computing import relinearisation
from medward.fhe.computing.ciphertexts import Ciphertext, decrypt, encrypt
from medward.fhe.computing.context import computing_context
from medward.fhe.computing.encoder import Slots
from medward.fhe.computing.evaluation import add, multiply
from medward.fhe.computing.keys import SecretKey
from medward.fhe.computing.relinearisation import Relinearisation
from medward.fhe.errors import CiphertextMismatch, NoiseTooLarge
from tests.fhe.computing.world import LABEL, Owners, owners, rms, small, unit_slots


def _sum(world: Owners, indices: Iterable[int], seed: int) -> tuple[Ciphertext, Slots]:
    """The sum of a ciphertext of each of some owners."""
    values = {k: unit_slots(world.parameters.slots, seed + k) for k in indices}
    return reduce(add, [encrypt(world.secret(k), a) for k, a in values.items()]), sum(values.values())


@pytest.mark.parametrize("method", Relinearisation)
@pytest.mark.parametrize("count", range(1, 9))
def test_one_to_eight_owners_in_both_factors_with_either_method(count: int, method: Relinearisation) -> None:
    world = owners(8, small(levels=2))
    (x, a), (y, b) = _sum(world, range(count), 0), _sum(world, range(count), 50)
    assert x.owners == tuple(world.secrets)[:count]
    for one, other, expected in ((x, y, a * b), (x, x, a * a)):
        product = multiply(one, other, world.keys, method)
        error = world.error(product, expected)
        # Independent errors are added as if they had one direction.
        assert error <= product.slot_error <= 2.0**10 * error


@pytest.mark.parametrize(("digit", "scale_bits"), [(2, 30), (2, 45), (3, 45), (4, 45), (4, 76)])
@pytest.mark.parametrize(
    ("first", "second"), [(range(1), range(1, 2)), (range(3), range(2, 8)), (range(4, 8), range(4))]
)
def test_owners_of_one_factor_or_of_both_with_digits_of_any_size(
    digit: int, scale_bits: int, first: range, second: range
) -> None:
    world = owners(8, small(levels=2, digit=digit, scale_bits=scale_bits))
    (x, a), (y, b) = _sum(world, first, 0), _sum(world, second, 50)
    results = [multiply(x, y, world.keys, method) for method in Relinearisation]
    for result in results:
        assert result.owners == tuple(sorted({*x.owners, *y.owners}))
        assert world.error(result, a * b) <= result.slot_error
    difference = decrypt(results[0], world.secrets) - decrypt(results[1], world.secrets)
    assert rms(difference) <= sum(result.slot_error for result in results)


def test_method_follows_from_the_owners_and_their_keys_alone() -> None:
    """Whoever recomputes a product must take the same, also where it reads a factor twice."""
    world = owners(8, small(levels=2))
    for count, method in ((1, Relinearisation.CDKS), (4, Relinearisation.CDKS), (8, Relinearisation.KKLSS)):
        x, _ = _sum(world, range(count), 0)
        copy = replace(x, parts=x.parts.copy())
        bytes_of = [multiply(x, y, world.keys).parts.tobytes() for y in (x, copy)]
        assert bytes_of[0] == bytes_of[1] == multiply(x, x, world.keys, method).parts.tobytes()
    without = {owner: replace(key, gadget=None) for owner, key in world.keys.items()}
    slow = multiply(x, x, without)
    assert slow.parts.tobytes() == multiply(x, x, world.keys, Relinearisation.CDKS).parts.tobytes()
    with pytest.raises(CiphertextMismatch, match=r"key of ahus/.* was made without a gadget: ask for one with it"):
        multiply(x, x, without, Relinearisation.KKLSS)
    with pytest.raises(CiphertextMismatch, match="have no gadget: take digits of two"):
        SecretKey("ahus", small(digit=1), LABEL).evaluation_key(gadget=True)


def test_bound_of_either_method_is_enforced_before_anything_is_computed() -> None:
    world = owners(8, small(levels=1, scale_bits=30))
    x, _ = _sum(world, range(8), 0)
    strict = replace(world.parameters, tolerance=2.0**-20)
    x = replace(x, parameters=strict, bound=replace(x.bound, size=1.0))
    keys = {owner: replace(key, parameters=strict) for owner, key in world.keys.items()}
    for method in Relinearisation:
        with pytest.raises(NoiseTooLarge, match="multiply: the slots of the result could be off"):
            multiply(x, x, keys, method)


@pytest.mark.parametrize("method", Relinearisation)
@pytest.mark.parametrize(("first", "second"), [(range(1), range(1, 2)), (range(3), range(3)), (range(2), range(1, 8))])
def test_noise_of_relinearisation_alone_is_within_its_bound(
    first: range, second: range, method: Relinearisation
) -> None:
    """Before it is divided by P, where rounding would cover it: the phase less P times the product of both phases."""
    world = owners(8, small(levels=2))
    context = computing_context(world.parameters)
    ring, at, level = context.ring, context.at(2), 2
    (x, _), (y, _) = _sum(world, first, 0), _sum(world, second, 50)
    used = {owner: world.keys[owner] for owner in sorted({*x.owners, *y.owners})}

    def phase(owners_of: Iterable[str], parts: Iterable[Doubles], where: slice) -> Doubles:
        total, *others = parts
        total = total.copy()
        for owner, part in zip(owners_of, others, strict=True):
            ring.multiply_add(part, world.secrets[owner].s[where], total, where)
        return total

    exact = ring.multiply(phase(x.owners, x.parts, at), phase(y.owners, y.parts, at), at)
    found = phase(used, relinearisation.product(context, x, y, used, method), context.everywhere)
    noise = ring.subtract(found, context.times_special(exact, level), context.everywhere)
    integers = ring.integers(ring.inverse(noise, context.everywhere), context.everywhere)
    norm = float(np.sqrt(sum(float(v) ** 2 for v in integers)))
    bound = relinearisation.switching_noise(context, x, y, method)
    # Digits that an adversary chooses could all be large at one zero of X^N + 1; those of these factors are not.
    assert norm <= bound <= 2.0**18 * norm
