"""Owners with keys in a small ring, which is insecure and fast, and what their ciphertexts should hold."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from medward.fhe.computing.ciphertexts import Ciphertext, decrypt
from medward.fhe.computing.encoder import Slots
from medward.fhe.computing.keys import EvaluationKey, SecretKey
from medward.fhe.computing.parameters import ComputingParameters, computing_parameters

LABEL = b"a federation"
NAMES = ("ahus", "bergen", "charite", "dijon", "essen", "fyn", "graz", "hull")


@dataclass(frozen=True)
class Owners:
    """Some owners' secrets and evaluation keys."""

    parameters: ComputingParameters
    secrets: dict[str, SecretKey]
    keys: dict[str, EvaluationKey]

    def secret(self, index: int) -> SecretKey:
        """The secret of the owner with this place in the alphabet."""
        return list(self.secrets.values())[index]

    def error(self, ciphertext: Ciphertext, expected: Slots) -> float:
        """The root mean square error of the slots."""
        return rms(decrypt(ciphertext, self.secrets) - expected)


def rms(values: Slots) -> float:
    return float(np.sqrt(np.mean(np.abs(values) ** 2)))


def small(levels: int = 3, scale_bits: int = 45, digit: int = 2, degree: int = 128) -> ComputingParameters:
    return computing_parameters(degree, scale_bits, levels, digit, for_tests=True)


@cache
def owners(count: int, parameters: ComputingParameters | None = None) -> Owners:
    parameters = parameters or small()
    made = [SecretKey(name, parameters, LABEL) for name in NAMES[:count]]
    secrets = {secret.owner: secret for secret in made}
    keys = {
        secret.owner: secret.evaluation_key(rotations=(1, -3), conjugation=True, gadget=parameters.digit > 1)
        for secret in made
    }
    return Owners(parameters, secrets, keys)


def unit_slots(count: int, seed: int) -> Slots:
    """Numbers of modulus 1, for which the bounds on errors are closest."""
    return np.exp(2j * np.pi * np.random.default_rng(seed).random(count))
