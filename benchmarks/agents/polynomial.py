"""Networks that can be computed on encrypted flows beside the same networks with ReLU: macro-F1 on honest test rows.

Run: python benchmarks/agents/polynomial.py DATA [DATA ...] [--seeds 5]   (prints Markdown; minutes)

Both networks have the recipe of `medward train --polynomial` but for the activation: the same inputs, split, first
weights and updates.
"""

import argparse

import numpy as np

import medward
from medward.agents.sentinel.recipe import polynomial_recipe, recipe_of


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="+")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    print("| data | activation | macro-F1, all classes | attack or not | squares ahead by, all classes, each seed |")
    print("|---|---|---|---|---|")
    for data in options.data:
        scores: dict[str, list[tuple[float, float]]] = {"relu": [], "square": []}
        for seed in range(options.seeds):
            rows = medward.load(data, seed=seed, rows=0, own_classes=True)
            split = medward.split(rows, seed=seed)
            for activation, found in scores.items():
                recipe = polynomial_recipe(recipe_of(rows.dataset.name)).change(activation=activation)
                metrics = medward.train(split, recipe=recipe, seed=seed).evaluate(split).metrics
                found.append((metrics["multiclass"]["macro_f1"], metrics["binary"]["macro_f1"]))
        ahead = [square[0] - relu[0] for square, relu in zip(scores["square"], scores["relu"], strict=True)]
        for activation, found in scores.items():
            every, binary = np.array(found).T
            last = ", ".join(f"{100 * gain:+.2f}" for gain in ahead) if activation == "square" else ""
            print(
                f"| {rows.dataset.schema.title} | {activation} | {every.mean():.4f} ± {every.std(ddof=1):.4f} "
                f"| {binary.mean():.4f} ± {binary.std(ddof=1):.4f} | {last} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
