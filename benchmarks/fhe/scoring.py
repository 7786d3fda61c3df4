"""Encrypted scoring of real flows at full size, two keys, flooded: agreement, time, memory and bytes.

Run: python benchmarks/fhe/scoring.py DATA [DATA ...] [--plain] [--ratios]   (prints Markdown; minutes)

A network is trained as by `medward train --polynomial`; a full batch of honest test rows is encrypted, scored and
opened by both key holders. Agreement is with what the plain network decides. "Evaluate" is the processor time of one
member that computes, without reading the model; memory is the most that this process, which plays all parts, had.
"""

import argparse
import resource
import time
from collections.abc import Iterable, Iterator

import numpy as np

import medward
from medward.agents.sentinel.polynomial import complex_inputs, polynomial_network
from medward.agents.sentinel.recipe import polynomial_recipe, recipe_of
from medward.bench.fhe.scoring import UncountedBudget, scoring_rows
from medward.federation.scoring.circuit import (
    Neuron,
    evaluate,
    flow_ciphertexts,
    flows_of_batch,
    model_ciphertexts,
    neurons_of_model,
    plain_neurons,
    scored_network,
    scores_of,
    terms_of,
)
from medward.fhe.computing.ciphertexts import Ciphertext
from medward.fhe.computing.formats.ciphertexts import write_ciphertext
from medward.fhe.computing.keys import SecretKey
from medward.fhe.computing.opening import combine, open_part


class Made:
    """Neurons as they are made, with the time that making them takes, and their bytes."""

    def __init__(self, ciphertexts: Iterator[Ciphertext]) -> None:
        self.seconds, self.bytes, self._inner = 0.0, 0, ciphertexts

    def ciphertexts(self) -> Iterator[Ciphertext]:
        """Yield the ciphertexts, and count their bytes."""
        for one in self._inner:
            self.bytes += len(write_ciphertext(one))
            yield one

    def timed(self, neurons: Iterable[Neuron]) -> Iterator[Neuron]:
        """Yield the neurons, and add up how long each took to come."""
        coming = iter(neurons)
        while True:
            start = time.process_time()
            neuron = next(coming, None)
            self.seconds += time.process_time() - start
            if neuron is None:
                return
            yield neuron


def measure(data: str, plain: bool) -> str:
    rows = medward.load(data, seed=0, rows=0, own_classes=True)
    split = medward.split(rows)
    trained = medward.train(split, recipe=polynomial_recipe(recipe_of(rows.dataset.name)))
    model = trained.sentinel
    network = polynomial_network(model)
    terms = terms_of(network)
    scored = scored_network(network, terms)
    test = np.resize(np.random.default_rng(0).permutation(split.split.test), terms.rows)
    scorer = model.scorer()
    inputs, expected = complex_inputs(scorer.inputs(split.x[test])), scorer.score(split.x[test]).decision

    vendor, hospital = (SecretKey(name, terms.parameters, b"benchmark") for name in ("vendor", "hospital"))
    owners = (hospital,) if plain else (vendor, hospital)
    keys = {one.owner: one.evaluation_key(conjugation=True) for one in owners}
    fresh = list(flow_ciphertexts(hospital, inputs, terms))
    flow_bytes = sum(len(write_ciphertext(one)) for one in fresh)
    flows = flows_of_batch(terms, fresh, hospital.owner)
    del fresh
    made = Made(iter(()) if plain else model_ciphertexts(vendor, scored, terms))
    neurons: Iterable[Neuron] = (
        plain_neurons(scored, terms) if plain else neurons_of_model(terms, made.ciphertexts(), vendor.owner)
    )
    start = time.process_time()
    results = evaluate(terms, flows, made.timed(neurons), keys)
    seconds = time.process_time() - start - made.seconds
    opened = [
        combine(one, [open_part(one, owner, UncountedBudget(owner.fingerprint), terms.coarseness) for owner in owners])
        for one in results
    ]
    decisions = scores_of(opened, terms, terms.rows).argmax(axis=1)
    agreement = (decisions == expected).mean()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    result_bytes = sum(len(write_ciphertext(one)) for one in results)
    return (
        f"| {rows.dataset.schema.title}, {'model in plain' if plain else 'two keys'} | {100 * agreement:.3f} % | "
        f"{seconds:.1f} | {memory:.1f} | {made.bytes / 1e6:,.0f} | {flow_bytes / 1e6:.0f} | {result_bytes / 1e6:.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="*")
    parser.add_argument("--plain", action="store_true", help="the model in plain at the server")
    parser.add_argument("--ratios", action="store_true", help="beside SEAL and OpenFHE, by turns")
    options = parser.parse_args()
    if options.data:
        print("| 16,384 flows | decided as in plain | evaluate, s | memory, GiB | model, MB | flows, MB | result, MB |")
        print("|---|---|---|---|---|---|---|")
    for data in options.data:
        print(measure(data, options.plain), flush=True)
    if options.ratios:
        print("| scoring as many, one thread | medward's time, in theirs |")
        print("|---|---|")
        for row in scoring_rows():
            if row.other is not None:
                print(f"| {row.other_name}, one key, not flooded | {row.ours / row.other:.2f} |", flush=True)


if __name__ == "__main__":
    main()
