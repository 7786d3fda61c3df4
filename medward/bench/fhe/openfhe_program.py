"""Times OpenFHE's CKKS and prints one JSON document; a program of its own that needs nothing but `openfhe`.

OpenFHE's builds on PyPI load on one version of Python each (at present CPython 3.8, 3.10 or 3.12, by the last digits of
their version), which need not be the one that runs medward: see `others.openfhe`.
"""

import importlib
import json
import time
from importlib.metadata import version


def main() -> None:
    """Encrypt, add and decrypt one ciphertext's worth of values; one level, no rescaling, 128 bits of security."""
    openfhe = importlib.import_module("openfhe")

    parameters = openfhe.CCParamsCKKSRNS()
    parameters.SetMultiplicativeDepth(1)
    parameters.SetScalingModSize(40)
    parameters.SetSecurityLevel(openfhe.SecurityLevel.HEStd_128_classic)
    context = openfhe.GenCryptoContext(parameters)
    for feature in (openfhe.PKESchemeFeature.PKE, openfhe.PKESchemeFeature.LEVELEDSHE):
        context.Enable(feature)
    keys = context.KeyGen()
    count = context.GetRingDimension() // 2
    values = [((7919 * j) % 2001 - 1000) / 1000 for j in range(count)]

    def encrypt() -> object:
        return context.Encrypt(keys.publicKey, context.MakeCKKSPackedPlaintext(values))

    first, second = encrypt(), encrypt()
    total = context.EvalAdd(first, second)

    def decrypt() -> list[float]:
        plaintext = context.Decrypt(total, keys.secretKey)
        return list(plaintext.GetRealPackedValue()[:count])

    found = decrypt()
    print(
        json.dumps(
            {
                "name": f"OpenFHE {version('openfhe')} CKKS, N = {2 * count}",
                "encrypt": _seconds(encrypt) / count * 1e6,
                "add": _seconds(lambda: context.EvalAdd(first, second)) / count * 1e6,
                "decrypt": _seconds(decrypt) / count * 1e6,
                "size": len(openfhe.Serialize(first, openfhe.BINARY)) / count,
                "error": max(abs(x - 2 * y) for x, y in zip(found, values)),  # noqa: B905  # runs on Python 3.8, too
            }
        )
    )


def _seconds(action: object, repeat: int = 7) -> float:
    """Return the median processor time of `action` over `repeat` runs after one that does not count."""
    times = []
    for _ in range(repeat + 1):
        start = time.process_time()
        action()  # type: ignore[operator]
        times.append(time.process_time() - start)
    return sorted(times[1:])[repeat // 2]


if __name__ == "__main__":
    main()
