"""The hash meets as seldom as its bound says, and treats inputs in sequence as it treats any others."""

import numpy as np

from medward.traffic.hashing import fingerprint, fingerprint3, fixed_key
from medward.traffic.tables import STATE


def fingerprints(seed: int, values: np.ndarray) -> np.ndarray:
    state = np.zeros(1, STATE)
    state["key"] = fixed_key(seed)
    zero = np.uint64(0)
    five = [fingerprint(state[0], value, zero, zero, zero, zero) for value in values.astype(np.uint64)]
    three = [fingerprint3(state[0], value, zero, zero) for value in values.astype(np.uint64)]
    return np.array([five, three], np.uint64)


def test_two_inputs_meet_in_some_bits_as_often_as_chance_has_it() -> None:
    """Over 4,000 keys, two fixed inputs agree in 6 given bits with a probability of 1/64."""
    pairs = np.array([fingerprints(seed, np.array([1, 2])) for seed in range(4000)])
    same = (pairs[..., 0] ^ pairs[..., 1]) & np.uint64(63) == 0
    assert (abs(same.sum(axis=0) - 62.5) < 5 * 62.5**0.5).all()


def test_inputs_in_sequence_fill_bins_as_random_ones_do() -> None:
    for step in (1, 256, 1 << 32):
        filled = [
            len(np.unique(one >> np.uint64(56)))
            for seed in range(40)
            for one in fingerprints(seed, np.arange(256) * step)
        ]
        assert abs(np.mean(filled) - 256 * (1 - (1 - 1 / 256) ** 256)) < 6


def test_no_input_has_the_mark_of_a_free_place() -> None:
    assert (fingerprints(1, np.arange(20_000)) != 0).all()
