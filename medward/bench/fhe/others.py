"""Encrypted sums of other libraries, each measured on the same job: encrypt, add and decrypt one member's values."""

import importlib
import importlib.util
import math
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from medward.bench.fhe.lipschitz import QuaternionScheme
from medward.errors import MedwardError

# RFC 3526, group 14: 2048-bit safe prime 2^2048 - 2^1984 - 1 + 2^64 * (floor(2^1918 pi) + 124476).
_GROUP_14 = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"
    "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F"
    "83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B"
    "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510"
    "15728E5A8AACAA68FFFFFFFFFFFFFFFF",
    16,
)


@dataclass(frozen=True)
class CostPerValue:
    """Microseconds and bytes per value of one system.

    Args:
        name: the system and its version.
        encrypt, add, decrypt: microseconds a value; None where it cannot.
        size: ciphertext bytes a value.
        error: largest error of the result; None where nothing is added.
    """

    name: str
    encrypt: float
    add: float | None
    decrypt: float
    size: float
    error: float | None


def seconds(action: Callable[[], object], repeat: int = 7) -> float:
    """Return the median processor time of `action` over `repeat` runs after one that does not count."""
    action()
    times = []
    for _ in range(repeat):
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    return float(np.median(times))


def installed(module: str) -> Any | None:
    """Return the module, or None where it is not installed or does not load on this Python."""
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


def tenseal() -> CostPerValue | None:
    """TenSEAL's CKKS vectors at its usual 128-bit setting, one thread."""
    library = installed("tenseal")
    if library is None:
        return None
    context = library.context(
        library.SCHEME_TYPE.CKKS, poly_modulus_degree=8192, coeff_mod_bit_sizes=[60, 40, 40, 60], n_threads=1
    )
    context.global_scale = 2**40
    values = np.random.default_rng(1).uniform(-1, 1, 4096)
    listed = values.tolist()
    first, second = (library.ckks_vector(context, listed) for _ in range(2))
    total = first + second
    return CostPerValue(
        f"TenSEAL {version('tenseal')} CKKS",
        seconds(lambda: library.ckks_vector(context, listed)) / 4096 * 1e6,
        seconds(lambda: first + second) / 4096 * 1e6,
        seconds(total.decrypt) / 4096 * 1e6,
        len(first.serialize()) / 4096,
        float(np.abs(np.array(total.decrypt()) - 2 * values).max()),
    )


def openfhe() -> CostPerValue | None:
    """OpenFHE's CKKS, one thread, timed by a program of its own.

    Its builds load on one Python version each. It runs with this Python where `openfhe` is installed here, or with the
    interpreter that the environment variable MEDWARD_OPENFHE_PYTHON names, for example one of Python 3.10.

    Raises:
        MedwardError: that interpreter cannot run it, or prints something else than the program's figures.
    """
    other = os.environ.get("MEDWARD_OPENFHE_PYTHON")
    if other is None and importlib.util.find_spec("openfhe") is None:
        return None
    program = Path(__file__).with_name("openfhe_program.py")
    try:
        done = subprocess.run(
            [other or sys.executable, "-I", str(program)],
            env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return msgspec.json.decode(done.stdout, type=CostPerValue)
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        if other is None:
            return None
        raise MedwardError(
            f"MEDWARD_OPENFHE_PYTHON = {other} cannot run OpenFHE ({error}); install `openfhe` there"
        ) from error


def paillier() -> CostPerValue | None:
    """Paillier with 2048-bit keys (phe on gmpy2), one value a ciphertext as phe offers it."""
    library = installed("phe")
    if library is None:
        return None
    public, private = library.generate_paillier_keypair(n_length=2048)
    first, second = public.encrypt(0.25), public.encrypt(0.5)
    backend = "gmpy2" if installed("gmpy2") else "Python integers"
    return CostPerValue(
        f"Paillier-2048 (phe {version('phe')}, {backend})",
        seconds(lambda: public.encrypt(0.25)) * 1e6,
        seconds(lambda: first + second) * 1e6,
        seconds(lambda: private.decrypt(first)) * 1e6,
        512.0,
        abs(private.decrypt(first + second) - 0.75),
    )


def rsa_oaep() -> CostPerValue:
    """RSA-2048 with OAEP, 190 one-byte values in a ciphertext; ciphertexts cannot be added."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    scheme = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
    message = secrets.token_bytes(190)
    ciphertext = key.public_key().encrypt(message, scheme)
    return CostPerValue(
        "RSA-2048-OAEP",
        seconds(lambda: key.public_key().encrypt(message, scheme)) / 190 * 1e6,
        None,
        seconds(lambda: key.decrypt(ciphertext, scheme)) / 190 * 1e6,
        256 / 190,
        None,
    )


def elgamal() -> CostPerValue:
    """ElGamal in the exponent in a 2048-bit group with 256-bit exponents; small sums by baby steps and giant steps."""
    library = installed("gmpy2")
    power: Callable[[int, int, int], int] = library.powmod if library else pow
    p, g = _GROUP_14, 4
    secret = secrets.randbits(256)
    public = int(power(g, secret, p))

    def encrypt(value: int) -> tuple[int, int]:
        r = secrets.randbits(256)
        return int(power(g, r, p)), int(power(public, r, p)) * int(power(g, value, p)) % p

    reach = 1 << 14
    step = math.isqrt(reach) + 1
    table = {int(power(g, j, p)): j for j in range(step)}
    giant = pow(int(power(g, step, p)), -1, p)

    def decrypt(ciphertext: tuple[int, int]) -> int:
        image = ciphertext[1] * pow(int(power(ciphertext[0], secret, p)), -1, p) % p
        for i in range(step):
            if image in table:
                return i * step + table[image]
            image = image * giant % p
        raise ArithmeticError("the sum is larger than the table reaches")

    def add(x: tuple[int, int], y: tuple[int, int]) -> tuple[int, int]:
        return x[0] * y[0] % p, x[1] * y[1] % p

    first, second = encrypt(100), encrypt(27)
    return CostPerValue(
        f"ElGamal-2048 in the exponent ({'gmpy2' if library else 'Python integers'})",
        seconds(lambda: encrypt(100)) * 1e6,
        seconds(lambda: add(first, second)) * 1e6,
        seconds(lambda: decrypt(first)) * 1e6,
        512.0,
        float(decrypt(add(first, second)) - 127),
    )


def quaternion() -> CostPerValue:
    """The historical quaternion matrix scheme, four values a ciphertext; broken, see lipschitz.py."""
    modulus = (2**256 - 189) * (2**255 - 19)
    scheme = QuaternionScheme(modulus, 2)
    first, second = scheme.encrypt((1, 2, 3, 4)), scheme.encrypt((10, 20, 30, 40))
    total = scheme.decrypt(scheme.add(first, second))
    return CostPerValue(
        "quaternion matrices (2019; broken)",
        seconds(lambda: scheme.encrypt((1, 2, 3, 4))) / 4 * 1e6,
        seconds(lambda: scheme.add(first, second)) / 4 * 1e6,
        seconds(lambda: scheme.decrypt(first)) / 4 * 1e6,
        64 * 64 / 4,
        float(abs(total[0] - 11)),
    )


def aes_gcm() -> CostPerValue:
    """AES-256-GCM: what encryption costs when nothing is to be computed; it cannot add."""
    aead = importlib.import_module("cryptography.hazmat.primitives.ciphers.aead").AESGCM(secrets.token_bytes(32))
    message = secrets.token_bytes(1 << 20)
    box = aead.encrypt(bytes(12), message, None)
    return CostPerValue(
        "AES-256-GCM (cannot add)",
        seconds(lambda: aead.encrypt(bytes(12), message, None)) / len(message) * 1e6,
        None,
        seconds(lambda: aead.decrypt(bytes(12), box, None)) / len(message) * 1e6,
        len(box) / len(message),
        None,
    )
