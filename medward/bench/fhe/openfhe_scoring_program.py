"""Scores flows with OpenFHE, model and flows under one key, and tells the processor time of each run that is asked for.

A program of its own that needs nothing but `openfhe` (see openfhe_program.py). It prints its version first; then, for
each line on standard input, the seconds that it took to score so many flows.

Arguments: the degree, the bits of a scale, and the network's widths: inputs, hidden units ..., outputs.
"""

import importlib
import sys
import time
from importlib.metadata import version


def main() -> None:
    """Set up keys and ciphertexts, and score as often as asked."""
    degree, bits, *widths = map(int, sys.argv[1:])
    openfhe = importlib.import_module("openfhe")
    parameters = openfhe.CCParamsCKKSRNS()
    parameters.SetMultiplicativeDepth(2 * (len(widths) - 2) + 2)
    parameters.SetScalingModSize(bits)
    parameters.SetFirstModSize(50)
    parameters.SetRingDim(degree)
    parameters.SetSecurityLevel(openfhe.SecurityLevel.HEStd_NotSet)
    parameters.SetScalingTechnique(openfhe.ScalingTechnique.FIXEDMANUAL)
    parameters.SetKeySwitchTechnique(openfhe.KeySwitchTechnique.HYBRID)
    parameters.SetNumLargeDigits(4)
    context = openfhe.GenCryptoContext(parameters)
    for feature in ("PKE", "KEYSWITCH", "LEVELEDSHE"):
        context.Enable(getattr(openfhe.PKESchemeFeature, feature))
    keys = context.KeyGen()
    context.EvalMultKeyGen(keys.secretKey)
    plain = context.MakeCKKSPackedPlaintext([0.01] * (degree // 2))
    flows = [context.Encrypt(keys.publicKey, plain) for _ in range(widths[0])]
    weights = [context.Encrypt(keys.publicKey, plain) for _ in range(8)]
    by_layer = [weights]
    for _ in widths[2:]:
        by_layer.append([context.LevelReduce(weight, None, 2) for weight in by_layer[-1]])
    # Relinearised once a neuron where this version can, else once a product.
    lazy = hasattr(context, "EvalMultNoRelin") and hasattr(context, "Relinearize")
    product = context.EvalMultNoRelin if lazy else context.EvalMult

    def score() -> None:
        values = flows
        for number, (units, own) in enumerate(zip(widths[1:], by_layer)):  # noqa: B905  # runs on Python 3.8, too
            outputs = []
            for unit in range(units):
                total = product(values[0], own[unit % 8])
                for place, value in enumerate(values[1:], 1):
                    total = context.EvalAdd(total, product(value, own[(unit + place) % 8]))
                outputs.append(context.Rescale(context.Relinearize(total) if lazy else total))
            last = number == len(widths) - 2
            values = outputs if last else [context.Rescale(context.EvalSquare(one)) for one in outputs]
        for one in values:
            context.Decrypt(one, keys.secretKey).GetRealPackedValue()

    print(version("openfhe"), flush=True)
    for _ in sys.stdin:
        start = time.process_time()
        score()
        print(time.process_time() - start, flush=True)


if __name__ == "__main__":
    main()
