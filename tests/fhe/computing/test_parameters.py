from math import log2, prod

import pytest

from medward.fhe.computing.parameters import MOST_BITS, computing_parameters
from medward.fhe.errors import UnsafeParameters
from medward.fhe.ring.primes import is_prime


@pytest.mark.parametrize(
    ("degree", "scale", "levels", "digit"), [(8192, 40, 1, 1), (16384, 45, 5, 2), (32768, 84, 5, 4), (32768, 45, 12, 4)]
)
def test_sets_are_secure_and_their_primes_fit_the_kernels(degree: int, scale: int, levels: int, digit: int) -> None:
    parameters = computing_parameters(degree, scale, levels, digit)
    assert parameters.bits <= MOST_BITS[degree]
    assert len(set(parameters.primes)) == len(parameters.primes)
    for q in parameters.primes:
        assert is_prime(q)
        assert q % (2 * degree) == 1
        assert q < 1 << 50
    largest = max(prod(parameters.primes[k] for k in places) for places in parameters.digits(levels))
    assert parameters.special() > largest * (1 - 2**-20)


def test_scales_follow_from_each_other_and_stay_close() -> None:
    for parameters in (computing_parameters(32768, 45, 12, 4), computing_parameters(32768, 84, 5, 4)):
        for level in range(1, parameters.levels + 1):
            exact = parameters.scales[level] ** 2 / parameters.divisor(level)
            assert abs(parameters.scales[level - 1] / exact - 1) < 2**-40
        assert all(abs(log2(scale) - parameters.scale_bits) < 2**-10 for scale in parameters.scales)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((16384, 45, 6, 2), "allows 430 bits"),
        ((1024, 45, 1, 1), "take a degree of 8192"),
        ((16384, 45, 0, 2), "make no parameter set"),
        ((16383, 45, 1, 2), "make no parameter set"),
        ((16384, 99, 1, 2), "make no parameter set"),
        ((16384, 45, 1, 5), "1 to 4 primes"),
    ],
)
def test_what_is_insecure_or_no_set_is_refused(arguments: tuple[int, int, int, int], says: str) -> None:
    with pytest.raises(UnsafeParameters, match=says):
        computing_parameters(*arguments)


def test_known_primes() -> None:
    """A known answer: other primes would make other keys and ciphertexts."""
    parameters = computing_parameters(8192, 40, 1, 1)
    assert parameters.primes == (1125899906826241, 1125899906629633, 1099511480321, 1125899905744897)
    assert parameters.scales == (1099511775231, 1 << 40)
    nearer = range(2**41 - 1099511480321, 1099511480321, -1)
    assert not [q for q in nearer if q % (2 * 8192) == 1 and is_prime(q)]
