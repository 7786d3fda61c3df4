"""Parameter sets: what the rules promise holds, and what they forbid is refused."""

import math

import pytest

from medward.fhe.errors import UnsafeParameters
from medward.fhe.keys import parameters_ring
from medward.fhe.parameters import (
    CONTRIBUTORS,
    DECRYPTIONS,
    FLOOD_PAIRS,
    LARGEST_MODULUS_BITS,
    NAMED_SETS,
    UPDATE_BITS,
    capacity,
    challenge_weight,
    check_security,
    sum_parameters,
)


@pytest.mark.parametrize("name", NAMED_SETS)
@pytest.mark.parametrize("contributors", CONTRIBUTORS)
@pytest.mark.parametrize("bits", UPDATE_BITS)
def test_flood_and_delta_follow_the_rules(name: str, contributors: int, bits: int) -> None:
    for members in ("semi-honest", "malicious"):
        if name == "AGG-S40" and members == "malicious":
            continue
        p = sum_parameters(name, bits, contributors, min(64, contributors), members)  # type: ignore[arg-type]
        modulus = parameters_ring(p).modulus
        assert modulus.bit_length() <= LARGEST_MODULUS_BITS[p.degree]
        flood_sigma = math.sqrt(FLOOD_PAIRS / 6) * 2.0**p.flood_bits
        l2 = math.sqrt(p.contributors * 10.5 * (1 + 4 / 3 * p.degree * p.holders) * p.degree)
        assert flood_sigma >= math.sqrt(12 * DECRYPTIONS) * 2 ** (p.statistical_bits / 2) * l2
        tail = math.log2(2 * p.degree) - (p.residual_bound / (flood_sigma * p.holders**0.5)) ** 2 / 2 / math.log(2)
        assert tail <= -64
        assert p.residual_bound < 1 << (p.delta_bits - 1)
        assert (1 << p.delta_bits) * ((1 << p.lane_bits * p.lanes) + 1) < modulus
        assert (1 << p.lane_bits) >= (1 << p.update_bits) * p.contributors


def test_semi_honest_sets_are_those_of_the_table() -> None:
    deltas = {"AGG-S40": 55, "AGG-M": 68, "AGG-L": 69}
    lanes = {"AGG-S40": (3, 2, 2), "AGG-M": (9, 7, 5), "AGG-L": (23, 18, 15)}
    for name in NAMED_SETS:
        sets = [sum_parameters(name, bits, 64, 64, "semi-honest") for bits in (8, 12, 16)]
        assert {p.delta_bits for p in sets} == {deltas[name]}
        assert tuple(p.lanes for p in sets) == lanes[name]


@pytest.mark.parametrize(("degree", "bits"), [(4096, 107), (8192, 215), (16384, 431), (32768, 869), (2048, 50)])
def test_modulus_above_the_security_bound_is_refused(degree: int, bits: int) -> None:
    with pytest.raises(UnsafeParameters):
        check_security(degree, bits)


@pytest.mark.parametrize(
    "arguments",
    [("AGG-X",), ("AGG-M", 9), ("AGG-M", 8, 17), ("AGG-M", 8, 64, 0), ("AGG-M", 8, 64, 65),
     ("AGG-M", 8, 64, 64, "friends"), ("AGG-S40", 8, 64, 64, "malicious")],
)  # fmt: skip
def test_impossible_set_is_refused_in_one_sentence(arguments: tuple[object, ...]) -> None:
    with pytest.raises(UnsafeParameters) as caught:
        sum_parameters(*arguments)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_set_without_room_for_proofs_names_what_to_choose() -> None:
    with pytest.raises(UnsafeParameters, match="97 and a lane 12 of 100 bits; choose AGG-M or AGG-L"):
        sum_parameters("AGG-S40", 8, 16, 16)


def test_capacity_is_the_smallest_set_that_fits() -> None:
    assert [capacity(n) for n in (1, 16, 17, 64, 65, 129, 1024)] == [16, 16, 64, 64, 128, 1024, 1024]
    for wrong in (0, -1, 1025):
        with pytest.raises(UnsafeParameters):
            capacity(wrong)


def test_there_are_at_least_two_to_the_160_challenges_and_few_agree_in_a_slot() -> None:
    """A quarter of a challenge has w terms; 2^-160 still holds with the fullest of 2^50 boxes they fall into."""
    for degree, weight in {4096: 20, 8192: 16, 16384: 16}.items():
        assert challenge_weight(degree) == weight
        each = weight // 4
        assert (math.comb(degree // 4, each) * 2**each) ** 4 >= 2**160
        assert (math.comb(degree // 4, each - 1) * 2 ** (each - 1)) ** 4 < 2**160
        quarter = math.log2(math.comb(degree // 4, each)) + each
        mean = quarter - 50
        load = next(m for m in range(1, 99) if 50 + mean * m - math.log2(math.factorial(m)) < -14)
        assert 4 * (quarter - math.log2(load)) >= 160


def test_sets_that_differ_in_anything_have_different_digests() -> None:
    seen = set()
    for name, bits, contributors, holders, members in [
        ("AGG-M", 8, 64, 64, "malicious"), ("AGG-M", 8, 64, 64, "semi-honest"), ("AGG-M", 8, 64, 63, "malicious"),
        ("AGG-M", 12, 64, 64, "malicious"), ("AGG-M", 8, 16, 64, "malicious"), ("AGG-L", 8, 64, 64, "malicious"),
    ]:  # fmt: skip
        seen.add(sum_parameters(name, bits, contributors, holders, members).digest)  # type: ignore[arg-type]
    assert len(seen) == 6
