"""Elements whose residues are at the ends of their range, where rounding could go wrong first."""

import numpy as np

from medward.fhe.ring.ring import Ring


def extreme_elements(ring: Ring, count: int, seed: int = 1) -> list[np.ndarray]:
    """Random residues, all of them +-q/2, inverse transforms of those (extreme outputs), one spike."""
    generator = np.random.default_rng(seed)
    half = np.array([(q - 1) // 2 for q in ring.primes], np.float64)[:, None]
    shape = (ring.limbs, ring.degree)
    out = [np.tile(half, (1, ring.degree)), np.tile(-half, (1, ring.degree))]
    spike = np.zeros(shape)
    spike[:, -1] = half[:, 0]
    out.append(spike)
    while len(out) < count:
        signs = generator.integers(0, 2, shape) * 2.0 - 1.0
        out.append(signs * half)
        out.append(ring.inverse(signs * half))
        out.append(
            np.stack([generator.integers(-(q // 2), q // 2 + 1, ring.degree) for q in ring.primes]).astype(float)
        )
    return out
