"""The spectral bound that the malicious sets rest on, against sampled secrets and errors."""

import numpy as np
import pytest

from medward.fhe.parameters import SPECTRAL_GAIN
from medward.fhe.sampling import KeyStream, centred_binomial, ternary


@pytest.mark.parametrize(("sampler", "variance"), [(ternary, 2 / 3), (centred_binomial, 21 / 2)])
def test_evaluations_stay_below_the_spectral_bound(sampler, variance: float) -> None:
    degree = 8192
    twist = np.exp(1j * np.pi * np.arange(degree) / degree)
    largest = 0.0
    for _ in range(50):
        evaluations = np.abs(np.fft.fft(sampler(KeyStream(), degree) * twist)) ** 2 / (degree * variance)
        assert 0.8 < evaluations.mean() < 1.25
        largest = max(largest, float(evaluations.max()))
    assert 5 < largest < SPECTRAL_GAIN
