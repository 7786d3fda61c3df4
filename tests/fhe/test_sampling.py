"""Samplers against their distributions; bounds are so many standard deviations wide that chance fails no test."""

import math
import pickle
import subprocess
import sys

import numpy as np
import pytest

from medward.fhe import _wide, sampling
from medward.fhe.keys import SecretKey, generate_key, reference_string
from medward.fhe.parameters import FLOOD_PAIRS, sum_parameters
from medward.fhe.ring import Ring
from medward.fhe.sampling import KeyStream

N = 1 << 18


def _chi_square_is_plausible(counts: np.ndarray, probabilities: np.ndarray) -> bool:
    expected = counts.sum() * probabilities
    statistic = float(((counts - expected) ** 2 / expected).sum())
    freedom = len(counts) - 1
    return abs(statistic - freedom) < 9 * math.sqrt(2 * freedom) + 20


def test_ternary_values_are_equally_likely() -> None:
    counts = np.bincount(sampling.ternary(KeyStream(), N) + 1, minlength=3)
    assert len(counts) == 3
    assert _chi_square_is_plausible(counts, np.full(3, 1 / 3))


def test_errors_follow_the_centred_binomial_law() -> None:
    values = sampling.centred_binomial(KeyStream(), N)
    assert np.abs(values).max() <= 21
    law = np.array([math.comb(42, k) for k in range(43)]) / 2.0**42
    counts = np.bincount(values + 21, minlength=43)
    middle = slice(9, 34)
    rest = counts.sum() - counts[middle].sum()
    assert _chi_square_is_plausible(np.append(counts[middle], rest), np.append(law[middle], 1 - law[middle].sum()))


def test_uniform_elements_fill_every_limb_evenly() -> None:
    ring = Ring(16384, 2)
    element = sampling.uniform_element(KeyStream(), ring)
    for row, q in zip(element, ring.primes, strict=True):
        assert np.abs(row).max() <= (q - 1) // 2
        counts, _ = np.histogram(row, bins=64, range=(-q / 2, q / 2))
        assert _chi_square_is_plausible(counts, np.full(64, 1 / 64))


@pytest.mark.parametrize("bits", [30, 48, 61, 64, 65, 85, 104, 116])
def test_flood_has_its_variance_and_bound(bits: int) -> None:
    degree = 4096
    values = _wide.to_integers(sampling.flood(KeyStream(), degree, bits))
    assert max(abs(v) for v in values) <= FLOOD_PAIRS * ((1 << bits) - 1)
    scaled = np.array([v / 2**bits for v in values])
    assert abs(scaled.mean()) < 8 * math.sqrt(FLOOD_PAIRS / 6 / degree)
    assert abs(scaled.var() / (FLOOD_PAIRS / 6) - 1) < 8 * math.sqrt(2 / degree)


@pytest.mark.parametrize("bits", [61, 84, 104])
def test_every_bit_of_a_flood_is_random(bits: int) -> None:
    """A flood drawn in doubles would have constant low bits, which hide nothing."""
    values = _wide.to_integers(sampling.flood(KeyStream(), 4096, bits))
    for bit in range(bits):
        assert abs(sum((v >> bit) & 1 for v in values) - 2048) < 8 * 32


@pytest.mark.parametrize("bits", [5, 24, 47, 82, 103, 112])
def test_masks_are_uniform_on_their_range(bits: int) -> None:
    values = _wide.to_integers(sampling.uniform_mask(KeyStream(), 16384, bits))
    assert min(values) >= -(1 << bits)
    assert max(values) < 1 << bits
    counts, _ = np.histogram([v / 2**bits for v in values], bins=32, range=(-1, 1))
    assert _chi_square_is_plausible(counts, np.full(32, 1 / 32))


def test_key_stream_is_aes_256_ctr() -> None:
    """NIST SP 800-38A has no zero-counter vector; this is FIPS-197's AES-256 applied to counters 0 and 1."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415

    key = bytes(range(32))
    block = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    expected = block.update(bytes(16) + bytes(15) + b"\x01")
    assert KeyStream(key).words(4).tobytes() == expected


def test_key_stream_goes_on_where_it_stopped_across_its_buffer() -> None:
    whole = KeyStream(bytes(32)).words(40_000)
    parts = KeyStream(bytes(32))
    assert np.array_equal(whole, np.concatenate([parts.words(2), parts.words(29_998), parts.words(10_000)]))


def test_fresh_streams_differ_and_are_never_copied() -> None:
    stream = KeyStream()
    assert not np.array_equal(stream.words(8), KeyStream().words(8))
    with pytest.raises(TypeError):
        pickle.dumps(stream)


def test_forked_process_draws_other_randomness() -> None:
    """Two encryptions with the same v would show the difference of two updates."""
    code = (
        "import os, sys; from medward.fhe.sampling import KeyStream; stream = KeyStream(); stream.words(2)\n"
        "child = os.fork(); os.write(1, (stream.words(4).tobytes().hex() + chr(10)).encode())\n"
        "child and os.waitpid(child, 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(set(done.stdout.split())) == 2


def test_reference_string_depends_on_federation_epoch_and_set() -> None:
    one = sum_parameters("AGG-M", 8, 16, 3, "semi-honest")
    other = sum_parameters("AGG-M", 8, 16, 4, "semi-honest")
    strings = [
        reference_string(one, b"ward", 1), reference_string(one, b"ward", 2), reference_string(one, b"work", 1),
        reference_string(other, b"ward", 1),
    ]  # fmt: skip
    assert len({s.tobytes() for s in strings}) == 4
    assert np.array_equal(strings[0], reference_string(one, b"ward", 1))


def test_secrets_do_not_show_themselves_and_can_be_erased() -> None:
    parameters = sum_parameters("AGG-S40", 8, 16, 3, "semi-honest")
    secret, _ = generate_key(parameters, reference_string(parameters, b"ward", 1))
    assert isinstance(secret, SecretKey)
    assert repr(secret) == "SecretKey(...)"
    secret.erase()
    assert not secret.s.any()
    assert not secret.e.any()
