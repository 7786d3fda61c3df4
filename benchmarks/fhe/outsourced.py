"""Training on encrypted rows: what one hospital's rows cost in the full ring, and what models of it are worth.

    python benchmarks/fhe/outsourced.py cost [--features 16 32 64]    seconds and megabytes of one owner's rows
    python benchmarks/fhe/outsourced.py worth DATA... [--seeds 0 1 2] models of all hospitals' rows
    python benchmarks/fhe/outsourced.py table                         prints what is kept in results/outsourced.json

Costs are those of 65,536 rows of ten classes and two states, with random numbers in place of features, which cost the
same. Every opened number is compared with the plain one. Times are processor times of one thread. The models are those
of the rows in plain: encrypted rows lead to the same bytes, as tests show in the small ring.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

import numpy as np

from medward.agents.closed_form.features import inputs_of, random_features, states_of
from medward.agents.closed_form.model import recipe_in_closed_form
from medward.agents.closed_form.moments import moments_of
from medward.agents.sentinel.central import fitted_scaler
from medward.agents.sentinel.judgement import judge
from medward.agents.sentinel.recipe import recipe_of
from medward.bench.fhe.scoring import UncountedBudget
from medward.bench.rows import machine_description
from medward.cli._console import use_one_thread_per_operation
from medward.cli._data import open_data
from medward.federation.outsourced.circuit import encrypted_columns, owner_products
from medward.federation.outsourced.terms import OutsourcedTerms
from medward.federation.outsourced.training import plan_model, public_scaler, trained_model
from medward.fhe.computing.formats.encrypted_tables import read_parts_of, read_table, write_parts, write_table
from medward.fhe.computing.formats.opened_products import write_product_list, write_shares
from medward.fhe.computing.inner_product_opening import ProductList, combine_shares, open_shares
from medward.fhe.computing.keys import SecretKey
from medward.flows.prepared import prepare

KEPT = Path(__file__).parent / "results" / "outsourced.json"
ROWS, CLASSES, COLUMNS = 65_536, 10, 46


def cost(features: int, rows: int = ROWS) -> dict[str, Any]:
    """Return what one owner's rows cost."""
    terms = OutsourcedTerms(features, 2, CLASSES, COLUMNS, 0, most_rows=rows)
    terms.check()
    rng = np.random.default_rng(features)
    held = rng.integers(0, terms.largest, (rows, 2 * features), endpoint=True)
    columns = np.concatenate([held, np.eye(CLASSES, dtype=np.int64)[rng.integers(0, CLASSES, rows)]], axis=1)
    secret = SecretKey("owner", terms.parameters, b"benchmark")
    key, owner, products = secret.evaluation_key(), secret.owner, terms.products
    with tempfile.TemporaryFile() as table, tempfile.TemporaryFile() as parts:
        start = time.process_time()
        pairs = encrypted_columns(secret, terms, columns)
        write_table(table, products, owner, rows, pairs, terms.table_columns)
        encrypt, uploaded = time.process_time() - start, table.tell()
        table.seek(0)
        start = time.process_time()
        read = list(read_table(table, products, owner, rows, terms.table_columns))
        constants = list[int]()

        def own_parts() -> Any:
            for constant, part in owner_products(terms, read, key):
                constants.append(constant)
                yield part

        write_parts(parts, products, owner, own_parts(), terms.numbers)
        compute, result = time.process_time() - start, parts.tell()
        listed = ProductList(products, (owner,), tuple(constants), ("parts",))
        parts.seek(0)
        start = time.process_time()
        own = read_parts_of(parts, products, owner, terms.numbers)
        shares = open_shares(listed, own, secret, UncountedBudget(secret.fingerprint))
        opening = time.process_time() - start
    gram = columns.T @ columns
    found = combine_shares(listed, [shares])
    return {
        "features": features, "rows": rows, "numbers": terms.numbers, "least_rows": terms.least_rows,
        "exact": sum(value == int(gram[entry]) for value, entry in zip(found, terms.entries(), strict=True)),
        "encrypt": round(encrypt, 1), "compute": round(compute, 1), "open": round(opening, 1),
        "table": uploaded, "parts": result, "list": len(write_product_list(listed)),
        "shares": len(write_shares(shares, products)),
    }  # fmt: skip


def worth(data: str, seed: int, several: list[int]) -> list[dict[str, Any]]:
    """Return what models of few features are worth on test rows: scaled by surveys, and by the public grid."""
    dataset, flows = open_data(data, seed)
    prepared = prepare(dataset, flows, "honest", seed)
    space, train, test = prepared.space, prepared.split.train, prepared.split.test
    recipe = recipe_in_closed_form(recipe_of(dataset.name))
    scalers = {"surveys": fitted_scaler(space, prepared.x[train], recipe), "public": public_scaler(space, recipe)}
    out = []
    for features in several:
        classes, columns = len(space.schema.classes), len(space.schema.columns)
        terms = OutsourcedTerms(features, states_of(space), classes, columns, seed)
        for scaling, scaler in scalers.items():
            plan = plan_model(space, scaler, recipe, terms)
            states = random_features(space, scaler, features, seed, terms.largest)
            moments = moments_of(states, inputs_of(scaler, prepared.x[train]), flows.y[train], terms.classes)
            model = trained_model(plan, terms, moments.packed().tolist(), [len(train)])
            result = judge(model, prepared.x[test], flows.y[test])
            out.append({
                "data": dataset.name, "seed": seed, "features": features, "scaling": scaling,
                "binary_macro_f1": result.metrics["binary"]["macro_f1"],
                "multiclass_macro_f1": result.metrics["multiclass"]["macro_f1"],
                "expected_cost": result.expected_cost,
            })  # fmt: skip
    return out


def table_of(kept: dict[str, Any]) -> str:
    """Return both tables."""
    lines = [
        f"{kept['machine']['cpu']}, one thread; {ROWS:,} rows of one hospital, {CLASSES} classes, two states.",
        "",
        "| features | numbers opened | encrypt, s | compute, s | open, s | encrypted rows, MB | its parts, MB "
        "| list, kB | shares, kB |",
        "|---" * 9 + "|",
    ]
    for row in sorted(kept["cost"], key=lambda one: one["features"]):
        lines.append(
            f"| {row['features']} | {row['numbers']:,} | {row['encrypt']:.1f} | {row['compute']:.1f} "
            f"| {row['open']:.1f} | {row['table'] / 1e6:,.0f} | {row['parts'] / 1e6:,.0f} | {row['list'] / 1e3:,.0f} "
            f"| {row['shares'] / 1e3:,.0f} |"
        )
    lines += [
        "",
        "| data set | features | seeds | scaling | binary macro-F1 | multi-class macro-F1 | cost of a window |",
        "|---" * 7 + "|",
    ]
    groups = dict.fromkeys((row["data"], row["features"], row["scaling"]) for row in kept["worth"])
    for data, features, scaling in sorted(groups):
        rows = [
            row for row in kept["worth"] if (row["data"], row["features"], row["scaling"]) == (data, features, scaling)
        ]
        cells = " | ".join(
            f"{mean(values):.4f} ± {pstdev(values):.4f}"
            for values in (
                [row[name] for row in rows] for name in ("binary_macro_f1", "multiclass_macro_f1", "expected_cost")
            )
        )
        lines.append(f"| {data} | {features} | {len(rows)} | {scaling} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("cost", "worth", "table"))
    parser.add_argument("data", nargs="*")
    parser.add_argument("--features", nargs="+", type=int, default=[16, 32, 64])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    given = parser.parse_args()
    use_one_thread_per_operation()
    kept: dict[str, Any] = {"machine": {}, "cost": [], "worth": []}
    if KEPT.exists():
        kept = json.loads(KEPT.read_text(encoding="utf-8"))
    if given.what == "cost":
        cost(16, 1024)  # compiles
        others = [row for row in kept["cost"] if row["features"] not in given.features]
        kept |= {"machine": machine_description(), "cost": others + [cost(features) for features in given.features]}
    for data in given.data:
        for seed in given.seeds:
            rows = worth(data, seed, given.features)
            same = {(row["data"], row["seed"], row["features"]) for row in rows}
            kept["worth"] = [r for r in kept["worth"] if (r["data"], r["seed"], r["features"]) not in same] + rows
    KEPT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print(table_of(kept))
    if any(row["exact"] != row["numbers"] for row in kept["cost"]):
        raise SystemExit("An opened number is not the plain one: this must not be.")


if __name__ == "__main__":
    main()
