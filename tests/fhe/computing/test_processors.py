"""Evaluation and what is written of it give the same bytes with AVX-512, with AVX2 and without a fused multiply-add."""

import os
import subprocess
import sys

import pytest

_PROGRAM = """
import hashlib
from dataclasses import replace
import numpy as np
from medward.fhe.computing.ciphertexts import Ciphertext
from medward.fhe.computing.context import computing_context
from medward.fhe.computing.evaluation import add, conjugate, multiply
from medward.fhe.computing.keys import EvaluationKey, GadgetKey, SwitchingKey
from medward.fhe.computing.noise import ErrorBound
from medward.fhe.computing.parameters import computing_parameters
from medward.fhe.computing.formats.ciphertexts import read_ciphertext, write_ciphertext
from medward.fhe.computing.relinearisation import Relinearisation
from medward.fhe.ring.kernels import HAS_FMA
from medward.fhe.sampling import expand_vector, framed

parameters = computing_parameters(1024, SCALE, 2, 3, for_tests=True)
count = len(parameters.primes)
digits = len(parameters.digits(2))
gadget_digits = len(parameters.digits(2, parameters.gadget_digit))

def elements(name, *shape):
    rows = [expand_vector(framed(name, k), parameters.primes[k % shape[-1]], 1024) for k in range(int(np.prod(shape)))]
    return np.stack(rows).reshape(*shape, 1024)

def key(owner):
    parts = [elements(f"{owner} {k}", digits, count) for k in range(8)]
    gadget = GadgetKey(*(elements(f"{owner} gadget {k}", gadget_digits, count) for k in range(3)))
    pair = SwitchingKey(parts[0], parts[1])
    moved = {2047: SwitchingKey(parts[6], parts[7])}
    return EvaluationKey(owner, parameters, b"", bytes(32), pair, *parts[2:6], moved, gadget)

keys = {owner: key(owner) for owner in ("a", "b")}
def ciphertext(owner):
    return Ciphertext(parameters, 2, (owner,), elements(owner, 2, parameters.top), ErrorBound(1.0, 1000.0, 0.0))

x, y = ciphertext("a"), ciphertext("b")
both = add(multiply(x, y, keys, Relinearisation.CDKS), multiply(x, x, keys))
both = add(both, multiply(x, y, keys, Relinearisation.KKLSS))
result = conjugate(multiply(both, both, keys), keys)
written = write_ciphertext(replace(result, owners=("a/0123456789abcdef", "b/0123456789abcdef")))
assert (read_ciphertext(parameters, written).parts == result.parts).all()
print(HAS_FMA, hashlib.sha256(result.parts.tobytes() + written).hexdigest())
"""


@pytest.mark.slow
@pytest.mark.parametrize("scale", [45, 76])
def test_evaluation_is_the_same_bytes_on_every_kind_of_processor(scale: int) -> None:
    """Keys and ciphertexts are expanded from names, so that every run has the same."""
    kinds = {
        "AVX-512, where there is": {},
        "AVX2": {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma,+sse4.2"},
        "no FMA": {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},
    }
    told = {}
    for kind, environment in kinds.items():
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM.replace("SCALE", str(scale))],
            env=os.environ | environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        told[kind] = done.stdout.split()
    assert told["no FMA"][0] == "False"
    assert len({digest for _, digest in told.values()}) == 1
