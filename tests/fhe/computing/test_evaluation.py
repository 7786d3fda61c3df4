"""Every operation agrees with plain arithmetic within its stated bound, for one owner and several."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.fhe.computing.ciphertexts import Ciphertext, decrypt, encode, encrypt, encrypt_for, side_by_side
from medward.fhe.computing.encoder import Slots
from medward.fhe.computing.evaluation import (
    add,
    add_plain,
    conjugate,
    inner_product,
    inner_product_plain,
    lower,
    multiply,
    multiply_plain,
    rotate,
    subtract,
)
from medward.fhe.computing.keys import SecretKey
from medward.fhe.computing.parameters import computing_parameters
from medward.fhe.computing.relinearisation import Relinearisation
from medward.fhe.errors import CiphertextMismatch, LevelsSpent, NoiseTooLarge
from tests.fhe.computing.world import Owners, owners, small, unit_slots

#: How much larger a bound may be than what is measured (spec/computing.md, section 8).
_SLACK = 2.0**6


def _fresh(world: Owners, index: int, seed: int, level: int | None = None) -> tuple[Ciphertext, Slots]:
    values = unit_slots(world.parameters.slots, seed)
    return encrypt(world.secret(index), values, level=level), values


def _check(world: Owners, result: Ciphertext, expected: Slots) -> None:
    error = world.error(result, expected)
    assert error <= result.slot_error
    assert result.slot_error <= _SLACK * error
    assert np.abs(expected).max() <= result.bound.size * (1 + 1e-12)


Operation = Callable[[Owners], tuple[Ciphertext, Slots]]


def _encrypt_for(world: Owners) -> tuple[Ciphertext, Slots]:
    values = unit_slots(world.parameters.slots, 3)
    return encrypt_for(world.secret(0).public_key(), values), values


def _add(world: Owners) -> tuple[Ciphertext, Slots]:
    (x, a), (y, b) = _encrypt_for(world), _fresh(world, -1 % len(world.secrets), 2)
    return add(x, y), a + b


def _subtract(world: Owners) -> tuple[Ciphertext, Slots]:
    (x, a), (y, b) = _fresh(world, -1 % len(world.secrets), 1), _encrypt_for(world)
    return subtract(x, y), a - b


def _multiply(world: Owners) -> tuple[Ciphertext, Slots]:
    (x, a), (y, b) = _encrypt_for(world), _fresh(world, -1 % len(world.secrets), 2)
    return multiply(x, y, world.keys), a * b


def _rotate(world: Owners) -> tuple[Ciphertext, Slots]:
    x, a = _add(world)
    return rotate(x, -3, world.keys), np.roll(a, 3)


def _conjugate(world: Owners) -> tuple[Ciphertext, Slots]:
    x, a = _add(world)
    return conjugate(x, world.keys), np.conj(a)


def _with_plain(world: Owners) -> tuple[Ciphertext, Slots]:
    (x, a), b = _fresh(world, 0, 1), unit_slots(world.parameters.slots, 9)
    product = multiply_plain(x, encode(world.parameters, b, 1.0, x.level))
    return add_plain(product, encode(world.parameters, b, 1.0, product.level)), a * b + b


def _lower(world: Owners) -> tuple[Ciphertext, Slots]:
    x, a = _fresh(world, 0, 1)
    return lower(x, 0), a


def _squares(world: Owners) -> tuple[Ciphertext, Slots]:
    """As many as there are levels: errors double each time, in the same direction."""
    x, a = _encrypt_for(world)
    while x.level:
        x, a = multiply(x, x, world.keys), a * a
    return x, a


OPERATIONS = [
    _encrypt_for, _add, _subtract, _multiply, _rotate, _conjugate, _with_plain, _lower, _squares,
]  # fmt: skip


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("count", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_operation_is_within_its_bound_which_is_close(operation: Operation, count: int) -> None:
    world = owners(count)
    _check(world, *operation(world))


@pytest.mark.parametrize("operation", [_multiply, _rotate, _lower])
@pytest.mark.parametrize("digit", [1, 3, 4])
def test_digits_of_other_sizes_do_as_well(operation: Operation, digit: int) -> None:
    world = owners(2, small(digit=digit))
    _check(world, *operation(world))


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(("count", "degree", "levels"), [(1, 16384, 5), (2, 16384, 5), (8, 2048, 3)])
def test_operation_of_full_size_is_within_its_bound(operation: Operation, count: int, degree: int, levels: int) -> None:
    world = owners(count, computing_parameters(degree, 45, levels, 2, for_tests=True))
    _check(world, *operation(world))


def test_operands_at_different_levels_meet_after_one_is_lowered() -> None:
    world = owners(2)
    (x, a), (y, b) = _fresh(world, 0, 1), _fresh(world, 1, 2)
    squared = multiply(x, x, world.keys)
    with pytest.raises(CiphertextMismatch, match="levels 2 and 3"):
        multiply(squared, y, world.keys)
    _check(world, multiply(squared, lower(y, squared.level), world.keys), a * a * b)


def test_evaluation_repeated_is_the_same_bytes() -> None:
    """Evaluation draws nothing: a second computation of the same circuit is the same ciphertext."""
    world = owners(2)
    (x, _), (y, _) = _fresh(world, 0, 1), _fresh(world, 1, 2)
    first, second = (rotate(multiply(x, y, world.keys), 1, world.keys) for _ in range(2))
    assert first.parts.tobytes() == second.parts.tobytes()


def test_noise_at_a_scale_above_double_precision_is_bounded_apart_from_coding() -> None:
    """Two evaluations of the same messages differ by noise alone, which is far below what doubles can show."""
    world = owners(2, small(levels=2, scale_bits=76, digit=4))
    at, bounds = slice(0, 2), []

    def phase() -> list[int]:
        (x, _), (y, _) = _fresh(world, 0, 1), _fresh(world, 1, 2)
        result = multiply(multiply(x, y, world.keys), lower(x, 1), world.keys)
        found = result.parts[0, at].copy()
        context = world.secret(0)._context
        for owner, part in zip(result.owners, result.parts[1:], strict=True):
            found = context.ring.multiply_add(part[at], world.secrets[owner].s[at], found, at)
        bounds.append(result.bound)
        return context.ring.integers(context.ring.inverse(found, at), at)

    difference = [a - b for a, b in zip(phase(), phase(), strict=True)]
    norm = float(sum(d * d for d in difference)) ** 0.5
    assert norm <= 2 * bounds[0].noise <= 2 * _SLACK * norm
    assert bounds[0].coding > 2**10 * bounds[0].noise


def test_product_without_a_level_left_is_refused() -> None:
    world = owners(1)
    x, _ = _fresh(world, 0, 1, level=0)
    with pytest.raises(LevelsSpent, match="no level is left"):
        multiply(x, x, world.keys)
    with pytest.raises(LevelsSpent, match="levels only fall"):
        lower(x, 1)


def test_slots_that_would_wrap_around_the_modulus_are_refused() -> None:
    world = owners(1)
    large = encrypt(world.secret(0), [2.0**30], bound=2.0**30)
    with pytest.raises(NoiseTooLarge, match="do not fit"):
        multiply(large, large, world.keys)
    with pytest.raises(NoiseTooLarge, match="do not fit"):
        encrypt(world.secret(0), [0.0], bound=2.0**60)


def test_largest_slots_that_fit_are_encoded_right() -> None:
    """Coefficients just below half of the base primes' product, above what two digits hold."""
    world = owners(1, small(levels=1, scale_bits=90))
    largest = 2.0**8.9
    x = encrypt(world.secret(0), [largest, -largest * 1j], bound=largest)
    assert np.abs(decrypt(x, world.secrets)[:2] - [largest, -largest * 1j]).max() < 2.0**-36
    constant = encrypt(world.secret(0), largest, bound=largest)
    assert np.abs(decrypt(constant, world.secrets) - largest).max() < 2.0**-36


def test_error_that_would_be_too_large_is_told_before_and_the_last_result_is_still_right() -> None:
    world = owners(1, small(levels=8, scale_bits=30))
    x, a = _fresh(world, 0, 1)
    grown = multiply_plain(x, encode(world.parameters, 2000.0, 2000.0, x.level))
    refused = False
    while not refused and grown.level:
        try:
            grown = multiply(grown, lower(x, grown.level), world.keys)
            a = a * unit_slots(world.parameters.slots, 1)
        except NoiseTooLarge as error:
            refused = "could be off by" in str(error)
    assert refused
    assert world.error(grown, a * 2000.0) <= grown.slot_error <= 1.01 * world.parameters.tolerance


@pytest.mark.parametrize("values", [[1.5], [float("nan")], [float("inf")], [[0.5]], [0.0] * 1000])
def test_values_that_are_too_large_or_no_row_of_numbers_are_refused(values: list) -> None:
    world = owners(1)
    with pytest.raises(CiphertextMismatch, match=r"larger than the bound|do not fit"):
        encrypt(world.secret(0), values)


def test_missing_keys_and_keys_of_others_are_refused() -> None:
    world, other = owners(2), owners(1, small(levels=2))
    first = world.secret(0).owner
    (x, _), (y, _) = _fresh(world, 0, 1), _fresh(world, 1, 2)
    with pytest.raises(CiphertextMismatch, match=r"evaluation key of bergen/.* is missing"):
        multiply(x, y, {first: world.keys[first]})
    with pytest.raises(CiphertextMismatch, match="other parameters"):
        multiply(x, x, {first: other.keys[other.secret(0).owner]})
    with pytest.raises(CiphertextMismatch, match="made without a rotation by 2"):
        rotate(x, 2, world.keys)
    stranger = SecretKey("bergen", world.parameters, b"another federation")
    z = encrypt(stranger, [0.5])
    with pytest.raises(CiphertextMismatch, match="different labels"):
        multiply(x, z, {first: world.keys[first], stranger.owner: stranger.evaluation_key()})
    with pytest.raises(CiphertextMismatch, match=r"secret of bergen/.* is missing"):
        decrypt(add(x, y), {first: world.secret(0)})


def test_operands_of_other_parameters_or_levels_are_refused_by_every_operation() -> None:
    world, other = owners(1), owners(1, small(levels=2))
    (x, _), (low, _), (y, _) = _fresh(world, 0, 1), _fresh(world, 0, 1, level=2), _fresh(other, 0, 1)
    constants = [encode(one.parameters, 0.5, 1.0, one.level) for one in (low, y)]
    operations: list[Callable[[Any, Any], Ciphertext]] = [
        add, subtract, lambda a, b: multiply(a, b, world.keys),
        lambda a, b: inner_product(side_by_side([a]), side_by_side([b]), world.keys),
    ]  # fmt: skip
    for operation in operations:
        with pytest.raises(CiphertextMismatch, match="levels 3 and 2: lower one of them first"):
            operation(x, low)
        with pytest.raises(CiphertextMismatch, match="of different parameters"):
            operation(x, y)
    for plain in (add_plain, multiply_plain):
        with pytest.raises(CiphertextMismatch, match="levels 3 and 2"):
            plain(x, constants[0])
        with pytest.raises(CiphertextMismatch, match="of different parameters"):
            plain(x, constants[1])


def test_level_that_there_is_none_of_is_refused() -> None:
    x, _ = _fresh(owners(1), 0, 1)
    for level in (-1, 4, 1 << 40):
        with pytest.raises(LevelsSpent, match=f"at level 3 cannot be brought to level {level}"):
            lower(x, level)


def test_operations_leave_their_operands_as_they_were() -> None:
    """A ciphertext is used again and again; under fewer owners, too, than the result."""
    world = owners(2)
    (x, _), (y, b) = _fresh(world, 0, 1), _fresh(world, 1, 2)
    before = x.parts.tobytes(), y.parts.tobytes()
    add(x, y), subtract(y, x), multiply(x, y, world.keys), rotate(x, 1, world.keys), conjugate(y, world.keys)
    add_plain(x, encode(world.parameters, b, 1.0, x.level)), lower(x, 1)
    assert (x.parts.tobytes(), y.parts.tobytes()) == before


_NAMES = ["add", "subtract", "multiply", "by owners", "square", "rotate", "conjugate", "plain", "lower", "fresh"]
_STEP = st.tuples(
    st.sampled_from(_NAMES),
    st.integers(0, 1 << 20),
    st.integers(0, 1 << 20),
)


def _run(count: int, steps: list[tuple[str, int, int]]) -> list[float]:
    """Carry out a circuit on encrypted and plain numbers; return the part of its bound that each error took."""
    world = owners(count)
    found = [_fresh(world, k % count, k) for k in range(3)]
    parts = []
    for what, one, other in steps:
        (x, a), (y, b) = found[one % len(found)], found[other % len(found)]
        level = min(x.level, y.level)
        try:
            if what == "fresh":
                result, plain = _fresh(world, one % count, other, level=other % (world.parameters.levels + 1))
            elif what == "rotate":
                result, plain = rotate(x, 1, world.keys), np.roll(a, -1)
            elif what == "conjugate":
                result, plain = conjugate(x, world.keys), np.conj(a)
            elif what == "plain":
                factor = 2 * unit_slots(world.parameters.slots, other)
                result, plain = multiply_plain(x, encode(world.parameters, factor, 2.0, x.level)), a * factor
            elif what == "lower":
                result, plain = lower(x, other % (x.level + 1)), a
            elif what == "by owners":
                x, y = lower(x, level), lower(y, level)
                result, plain = multiply(x, y, world.keys, Relinearisation.KKLSS), a * b
            elif what == "square":
                result, plain = multiply(x, x, world.keys), a * a
            else:
                act = {"add": add, "subtract": subtract, "multiply": lambda p, q: multiply(p, q, world.keys)}[what]
                result = act(lower(x, level), lower(y, level))
                plain = {"add": a + b, "subtract": a - b, "multiply": a * b}[what]
        except (LevelsSpent, NoiseTooLarge):
            continue
        error = world.error(result, plain)
        assert error <= result.slot_error
        assert np.abs(plain).max() <= result.bound.size * (1 + 1e-9)
        parts.append(error / result.slot_error)
        found.append((result, plain))
    return parts


@settings(max_examples=40)
@given(st.integers(1, 8), st.lists(_STEP, min_size=3, max_size=8))
def test_random_circuits_stay_within_their_bounds(count: int, steps: list[tuple[str, int, int]]) -> None:
    _run(count, steps)


@pytest.mark.slow
@pytest.mark.parametrize("operations", [2_500, pytest.param(10_000, marks=pytest.mark.release)])
def test_thousands_of_operations_stay_within_their_bounds(operations: int) -> None:
    generator = np.random.default_rng()
    parts: list[float] = []
    while len(parts) < operations:
        if len(parts) % 20 == 0:
            owners.cache_clear()  # other keys
        steps = [(str(generator.choice(_NAMES)), *map(int, generator.integers(0, 1 << 20, 2))) for _ in range(12)]
        parts += _run(int(generator.integers(1, 9)), steps)
    assert 2.0**-6 < max(parts) <= 1


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("plain", [False, True])
def test_inner_product_is_within_its_bound_which_the_promised_sum_makes_close(count: int, plain: bool) -> None:
    world, terms = owners(count), 5
    parameters = world.parameters
    values = [unit_slots(parameters.slots, seed) for seed in range(terms)]
    weights = [np.full(parameters.slots, weight) for weight in (0.5, -0.25j, 0.125, 0.0625, -0.0625)]
    a = side_by_side([encrypt(world.secret(0), value) for value in values])
    expected = sum(w * v for w, v in zip(weights, values, strict=True))
    if plain:
        encoded = [encode(parameters, weight, 1.0, parameters.levels) for weight in weights]
        loose, close = (inner_product_plain(a, encoded, total) for total in (None, 1.0))
    else:
        b = side_by_side([encrypt(world.secret(count - 1), weight) for weight in weights])
        loose, close = (inner_product(a, b, world.keys, total) for total in (None, 1.0))
    assert close.parts.tobytes() == loose.parts.tobytes()
    assert (close.bound.size, loose.bound.size) == (1.0, terms)
    assert world.error(close, expected) <= close.slot_error <= loose.slot_error
    assert close.slot_error <= _SLACK * world.error(close, expected)
    assert np.abs(expected).max() <= close.bound.size


def test_vectors_that_do_not_fit_have_no_product() -> None:
    world = owners(2)
    one, two = (encrypt(world.secret(index), [1.0]) for index in (0, 1))
    with pytest.raises(CiphertextMismatch, match="make a vector"):
        side_by_side([one, two])
    with pytest.raises(CiphertextMismatch, match="make a vector"):
        side_by_side([])
    with pytest.raises(CiphertextMismatch, match="have no product"):
        inner_product(side_by_side([one, one]), side_by_side([two]), world.keys)
    with pytest.raises(CiphertextMismatch, match="have no product"):
        inner_product_plain(side_by_side([one]), [])
