"""Scoring encrypted flows, two keys and flooded, beside SEAL and OpenFHE that score as many under one key, not flooded.

All have complex inputs and the network that `medward train --polynomial` trains; each relinearises once a neuron. The
others take two batches in a ring of half the degree, which is enough for one key without flooding, and use eight
weights again and again; ours uses those of two neurons. What is timed is evaluating and opening, with the encrypted
model in memory. Processor time on one thread, medians of runs by turns.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

from medward.agents.sentinel.polynomial import PolynomialLayer, PolynomialNetwork
from medward.bench.fhe.others import installed
from medward.bench.rows import BenchmarkRow
from medward.errors import MedwardError
from medward.federation.scoring.circuit import (
    EncryptedNeuron,
    evaluate,
    flow_ciphertexts,
    flows_of_batch,
    model_ciphertexts,
    plain_scores,
    scored_network,
    scores_of,
)
from medward.federation.scoring.terms import ScoringTerms
from medward.fhe.computing.ciphertexts import side_by_side
from medward.fhe.computing.keys import SecretKey
from medward.fhe.computing.opening import combine, open_part

_RUNS = 3
#: As the quaternion network 8 - 16 - 8 has it, in complex numbers, and ten classes.
TERMS = ScoringTerms(16, (32, 16), 10)
_OTHERS_BITS = 45
_DIFFERENT = 2
_Timed = Callable[[], float]


class UncountedBudget:
    """The usual budget of a key, which nothing counts: for measurements alone."""

    outputs, bits = 1024, 64

    def __init__(self, key: str) -> None:
        self.key = key

    def spend(self) -> None:
        """Count nothing."""


def scoring_rows(terms: ScoringTerms = TERMS, runs: int = _RUNS) -> list[BenchmarkRow]:
    """Return a row for each library to compare with, seconds.

    Args:
        terms: what is scored.
        runs: turns.
    """
    actions: dict[str, _Timed] = {"": own_scoring(terms)}
    seal = installed("seal")
    if seal:
        actions[f"SEAL (seal-python {version('seal-python')})"] = _seal(seal, terms)
    with _openfhe(terms) as other:
        actions |= other
        turns = [[action() for action in actions.values()] for _ in range(1 + runs)][1:]
    mine, *theirs = (float(np.median(times)) for times in zip(*turns, strict=True))
    what = f"score {terms.rows} flows, two keys, flooded"
    if not theirs:
        return [BenchmarkRow(what, mine, None, None, None, "s")]
    return [
        BenchmarkRow(what, mine, taken, name, taken / mine, "s")
        for name, taken in zip(list(actions)[1:], theirs, strict=True)
    ]


def own_scoring(terms: ScoringTerms) -> _Timed:
    """Return what is timed, after its scores were found right."""
    generator = np.random.default_rng(1)
    layers = []
    for fan_in, units in zip((terms.inputs, *terms.hidden), (*terms.hidden, terms.classes), strict=True):
        weights = generator.normal(size=(fan_in + 1, _DIFFERENT, 2)) @ (1, 1j)
        columns = np.stack(list(islice(cycle(weights.T), units)), axis=1)
        layers.append(PolynomialLayer(columns[1:], columns[0]))
    network = scored_network(PolynomialNetwork(tuple(layers)), terms)
    vendor, hospital = (SecretKey(name, terms.parameters, b"bench") for name in ("vendor", "hospital"))
    secrets = (vendor, hospital)
    budgets = [(one, UncountedBudget(one.fingerprint)) for one in secrets]
    keys = {one.owner: one.evaluation_key(conjugation=True) for one in secrets}
    inputs = (generator.uniform(-0.5, 0.5, (terms.rows, terms.inputs, 2)) @ (1, 1j)).astype(np.complex128)
    flows = flows_of_batch(terms, flow_ciphertexts(hospital, inputs, terms), hospital.owner)
    neurons = _few_neurons(terms, network, vendor)

    def score() -> np.ndarray[Any, Any]:
        coming = (
            unit for units, count in zip(neurons, terms.units, strict=True) for unit in islice(cycle(units), count)
        )
        results = evaluate(terms, flows, coming, keys)
        opened = [
            combine(one, [open_part(one, secret, budget, terms.coarseness) for secret, budget in budgets])
            for one in results
        ]
        return scores_of(opened, terms, terms.rows)

    expected = plain_scores(network, inputs, terms.classes)
    if np.abs(score() - expected).max() > 100 * terms.coarseness:
        raise AssertionError("scores are wrong; their time means nothing")

    def timed() -> float:
        start = time.thread_time()
        score()
        return time.thread_time() - start

    return timed


def _few_neurons(terms: ScoringTerms, network: PolynomialNetwork, vendor: SecretKey) -> list[list[EncryptedNeuron]]:
    """Return the neurons of each layer that differ, which are repeated: the whole encrypted model needs gigabytes."""
    few = PolynomialNetwork(
        tuple(PolynomialLayer(one.matrix[:, :_DIFFERENT], one.bias[:_DIFFERENT]) for one in network.layers)
    )
    coming = model_ciphertexts(vendor, few, terms)
    return [
        [
            EncryptedNeuron(side_by_side(list(islice(coming, terms.fan_in(layer)))), next(coming))
            for _ in range(_DIFFERENT)
        ]
        for layer in range(len(terms.units))
    ]


def _seal(seal: Any, terms: ScoringTerms) -> _Timed:
    degree, levels = terms.degree // 2, 2 * len(terms.hidden) + 1
    parameters = seal.EncryptionParameters(seal.scheme_type.ckks)
    parameters.set_poly_modulus_degree(degree)
    parameters.set_coeff_modulus(seal.CoeffModulus.Create(degree, [50, 50, *[_OTHERS_BITS] * levels, 60]))
    context = seal.SEALContext(parameters, True, seal.sec_level_type.none)  # only its speed is of interest
    generator, encoder, evaluator = seal.KeyGenerator(context), seal.CKKSEncoder(context), seal.Evaluator(context)
    secret = generator.secret_key()
    encryptor, decryptor = seal.Encryptor(context, generator.create_public_key()), seal.Decryptor(context, secret)
    square = generator.create_relin_keys()
    plain = encoder.encode([0.01] * (degree // 2), 2.0**_OTHERS_BITS)
    flows = [encryptor.encrypt(plain) for _ in range(terms.inputs)]
    by_layer = [[encryptor.encrypt(plain) for _ in range(8)]]
    for _ in terms.hidden:
        by_layer.append([evaluator.mod_switch_to_next(evaluator.mod_switch_to_next(one)) for one in by_layer[-1]])

    def weighed(values: list[Any], own: list[Any], unit: int) -> Any:
        total = evaluator.multiply(values[0], own[unit % 8])
        for place, value in enumerate(values[1:], 1):
            evaluator.add_inplace(total, evaluator.multiply(value, own[(unit + place) % 8]))
        evaluator.relinearize_inplace(total, square)
        evaluator.rescale_to_next_inplace(total)
        return total

    def squared(value: Any) -> Any:
        result = evaluator.square(value)
        evaluator.relinearize_inplace(result, square)
        evaluator.rescale_to_next_inplace(result)
        return result

    def timed() -> float:
        start = time.thread_time()
        for _ in range(2):
            values = flows
            for units, own in zip((*terms.hidden, terms.classes), by_layer, strict=True):
                outputs = [weighed(values, own, unit) for unit in range(units)]
                values = outputs if own is by_layer[-1] else [squared(one) for one in outputs]
            for one in values:
                encoder.decode(decryptor.decrypt(one))
        return time.thread_time() - start

    return timed


@contextmanager
def _openfhe(terms: ScoringTerms) -> Iterator[dict[str, _Timed]]:
    """Give OpenFHE's scoring by its name, in a program of its own (see `others.openfhe`); nothing where it is not
    installed.

    Raises:
        MedwardError: the interpreter that MEDWARD_OPENFHE_PYTHON names cannot run it, or it ended while it scored.
    """
    other = os.environ.get("MEDWARD_OPENFHE_PYTHON")
    if other is None and find_spec("openfhe") is None:
        yield {}
        return
    program = Path(__file__).with_name("openfhe_scoring_program.py")
    widths = (terms.inputs, *terms.hidden, terms.classes)
    command = [other or sys.executable, "-I", str(program), *map(str, (terms.degree // 2, _OTHERS_BITS, *widths))]
    refused = f"MEDWARD_OPENFHE_PYTHON = {other} cannot run OpenFHE; install `openfhe` there"
    try:
        running = subprocess.Popen(
            command, env=os.environ | {"OMP_NUM_THREADS": "1"}, bufsize=0,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    except OSError as error:
        raise MedwardError(refused) from error
    with running, ExitStack() as end:
        end.callback(running.kill)  # an interpreter that cannot run the program need not end with its input
        assert running.stdin is not None
        assert running.stdout is not None
        asked, told = running.stdin, running.stdout
        name = told.readline().decode(errors="replace").strip()
        if not name and other is not None:
            raise MedwardError(refused)

        def timed() -> float:
            taken = 0.0
            for _ in range(2):
                try:
                    asked.write(b"\n")
                    taken += float(told.readline())
                except (OSError, ValueError) as error:
                    raise MedwardError(f"OpenFHE {name} ended while it scored; mend its installation") from error
            return taken

        yield {f"OpenFHE {name}": timed} if name else {}
