"""Samplers against their distributions; bounds are so many standard deviations wide that chance fails no test."""

import hashlib
import math
import pickle
import subprocess
import sys
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest

from medward.fhe import sampling
from medward.fhe.parameters import SIGMA, sum_parameters
from medward.fhe.ring.ring import ring
from medward.fhe.sampling import KeyStream, framed, gaussian, gaussian_cumulative, hedged_key

N = 1 << 18
NARROW = SIGMA**2
WIDE = sum_parameters(8, 4, 4, 1, 3).mask_variance


def _chi_square_is_plausible(counts: np.ndarray, probabilities: np.ndarray) -> bool:
    expected = counts.sum() * probabilities
    statistic = float(((counts - expected) ** 2 / expected).sum())
    freedom = len(counts) - 1
    return abs(statistic - freedom) < 9 * math.sqrt(2 * freedom) + 20


def _law(variance: int, most: int) -> np.ndarray:
    """Return P(x = -most), ..., P(x = most), in doubles."""
    k = np.arange(-20 * math.isqrt(variance), 20 * math.isqrt(variance) + 1)
    weights = np.exp(-(k**2) / (2 * variance))
    return weights[abs(k) <= most] / weights.sum()


def test_narrow_gaussian_follows_its_law() -> None:
    values = gaussian(KeyStream(), NARROW, N)
    assert abs(values.mean()) < 8 * SIGMA / math.sqrt(N)
    assert abs(values.var() / NARROW - 1) < 8 * math.sqrt(2 / N)
    assert abs(((values / SIGMA) ** 4).mean() - 3) < 8 * math.sqrt(96 / N)
    law = _law(NARROW, 26)
    inside = np.bincount(values[abs(values) <= 26] + 26, minlength=53)
    assert _chi_square_is_plausible(np.append(inside, N - inside.sum()), np.append(law, 1 - law.sum()))


def test_tail_of_the_narrow_gaussian_is_neither_cut_nor_heavy() -> None:
    values = abs(gaussian(KeyStream(), NARROW, 16 * N))
    for most in (28, 30, 32):
        expected = 16 * N * (1 - _law(NARROW, most).sum())
        assert abs((values > most).sum() - expected) < 8 * math.sqrt(expected) + 1
    assert values.max() < 13 * SIGMA


def test_wide_gaussian_follows_its_law() -> None:
    values = gaussian(KeyStream(), WIDE, 1 << 14)
    width = math.sqrt(WIDE)
    assert abs(values.mean()) < 8 * width / 128
    assert abs(values.var() / WIDE - 1) < 8 * math.sqrt(2 / (1 << 14))
    edges = np.linspace(-3, 3, 25) * width
    law = np.diff([0.5 * (1 + math.erf(e / width / math.sqrt(2))) for e in edges])
    counts, _ = np.histogram(values, edges)
    assert _chi_square_is_plausible(np.append(counts, (1 << 14) - counts.sum()), np.append(law, 1 - law.sum()))


def test_low_bits_of_a_mask_are_random() -> None:
    """A wide normal drawn in doubles and rounded has them too; a scaled narrow one has not."""
    values = gaussian(KeyStream(), WIDE, 1 << 14)
    for bit in range(8):
        assert abs(((values >> bit) & 1).mean() - 0.5) < 8 * 0.5 / 128


@pytest.mark.parametrize("variance", [NARROW, WIDE])
def test_every_probability_of_the_table_is_within_2_to_the_minus_126(variance: int) -> None:
    """Against exponentials of another precision: a mask is within 2^-113 of the Gaussian, an error within 2^-120.

    A member draws fewer than 2^24 numbers for a sum: together they are within 2^-96 of ideal ones.
    """
    cumulative = [0, *gaussian_cumulative(variance), 1 << 127]
    assert cumulative == sorted(cumulative)
    assert len(cumulative) < 1 << (14 if variance == WIDE else 7)
    with localcontext() as context:
        context.prec = 60
        weights = [(Decimal(-k * k) / (2 * variance)).exp() for k in range(len(cumulative) + 99)]
        whole = 2 * sum(weights) - 1
        for k in range(0, len(cumulative) - 1, max(1, len(cumulative) // 300)):
            true = weights[k] / whole * (2 if k else 1)
            made = Decimal(cumulative[k + 1] - cumulative[k]) / (1 << 127)
            assert abs(made - true) <= Decimal(2) ** -126


def test_table_looks_at_every_entry_and_takes_all_127_bits() -> None:
    """The lowest of the 127 bits decides beside an entry."""
    cumulative = gaussian_cumulative(NARROW)
    high, low = sampling.gaussian_table(NARROW)
    for k in (0, 1, 17, len(cumulative) - 1):
        for off, expected in ((-1, k), (0, k + 1)):
            u = cumulative[k] + off
            words = np.array([[(u >> 64) << 1], [u & (2**64 - 1)]], np.uint64)
            out = np.empty(1, np.int64)
            sampling._scan(words[0], words[1], high, low, out)
            assert out[0] == expected
            sampling._scan(words[0] | np.uint64(1), words[1], high, low, out)
            assert out[0] == -expected


def test_known_answers_of_a_stream() -> None:
    """What a key gives must never change: a member draws it again after a restart."""
    stream = KeyStream(bytes(range(32)))
    narrow, wide = gaussian(stream, NARROW, 2048), gaussian(stream, WIDE, 192)
    assert hashlib.sha256(narrow.astype("<i8").tobytes()).hexdigest()[:16] == "e09b7d5af263968a"
    assert hashlib.sha256(wide.astype("<i8").tobytes()).hexdigest()[:16] == "438ad7aebd83c5ba"
    uniform = sampling.uniform_vector(stream, 1125899906802689, 64)
    assert hashlib.sha256(uniform.astype("<i8").tobytes()).hexdigest()[:16] == "a991f094cef78805"
    expanded = sampling.expand_element(b"label", ring(2048, 1))
    assert hashlib.sha256(expanded.astype("<i8").tobytes()).hexdigest()[:16] == "ec9e16e51afc768f"


def test_uniform_residues_fill_their_range_evenly() -> None:
    prime = 1125899906802689
    for vector in (sampling.uniform_vector(KeyStream(), prime, 1 << 15), sampling.expand_vector(b"x", prime, 1 << 15)):
        assert np.abs(vector).max() <= (prime - 1) // 2
        counts, _ = np.histogram(vector, bins=64, range=(-prime / 2, prime / 2))
        assert _chi_square_is_plausible(counts, np.full(64, 1 / 64))


def test_expansion_refuses_words_above_the_prime() -> None:
    """A small prime makes rejection visible: every value is below it, and the first words that fit are taken."""
    for prime in ((1 << 48) + 21, (1 << 38) - 45, (1 << 50) - 27):
        mask = (1 << prime.bit_length()) - 1
        words = np.frombuffer(hashlib.shake_128(b"y").digest(8 * 4000), "<u8").astype(np.int64) & mask
        kept = words[words < prime][:500]
        expected = np.where(kept > prime // 2, kept - prime, kept)
        assert np.array_equal(sampling.expand_vector(b"y", prime, 500), expected)


def test_ternary_numbers_are_the_pairs_of_bits_that_are_not_both_set() -> None:
    drawn = sampling.ternary(sampling.KeyStream(bytes(32)), 30_000)
    words = sampling.KeyStream(bytes(32)).words(30_000 // 16 + 8)
    pairs = [int(word) >> shift & 3 for word in words for shift in range(0, 64, 2)]
    assert drawn.tolist() == [pair - 1 for pair in pairs if pair < 3][:30_000]
    assert len(sampling.ternary(sampling.KeyStream(), 1)) == 1
    assert np.abs(np.bincount(drawn + 1) - 10_000).max() < 600


def test_frame_has_one_reading() -> None:
    parts = [("a", "bc"), ("ab", "c"), ("abc",), ("", "abc"), (1, "bc"), (b"a", b"b", b"c"), ()]
    assert len({framed(*p) for p in parts}) == len(parts)


def test_hedged_key_depends_on_system_secret_and_occasion(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hedged_key(b"s", 1) != hedged_key(b"s", 1)
    monkeypatch.setattr(sampling.os, "urandom", bytes)
    keys = {hedged_key(b"s", 1), hedged_key(b"s", 2), hedged_key(b"t", 1), hedged_key(b"s", 1, b"v")}
    assert len(keys) == 4
    assert hedged_key(b"s", 1) in keys


def test_key_stream_is_aes_256_ctr() -> None:
    """NIST SP 800-38A has no zero-counter vector; this is FIPS-197's AES-256 applied to counters 0 and 1."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415

    key = bytes(range(32))
    block = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    expected = block.update(bytes(16) + bytes(15) + b"\x01")
    assert KeyStream(key).words(4).tobytes() == expected
    assert KeyStream(key).take(32) == expected


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
    code = (
        "import os, sys; from medward.fhe.sampling import KeyStream; stream = KeyStream(); stream.words(2)\n"
        "child = os.fork(); os.write(1, (stream.words(4).tobytes().hex() + chr(10)).encode())\n"
        "child and os.waitpid(child, 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(set(done.stdout.split())) == 2


def test_probability_of_zero_is_that_of_the_law() -> None:
    """Both signs of zero are zero: its weight counts once."""
    made = Fraction(gaussian_cumulative(NARROW)[0], 1 << 127)
    assert abs(float(made) - _law(NARROW, 0)[0]) < 1e-15
