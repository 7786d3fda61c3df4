"""What was measured of nodes among a hostile crowd, and is kept (benchmarks/node/hostile_connections.py)."""

import json
from pathlib import Path

KEPT = Path(__file__).parents[2] / "benchmarks" / "node" / "results" / "hostile-connections.json"


def test_kept_measurement_says_what_is_promised() -> None:
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    undisturbed, crowded = kept["rows"]
    assert undisturbed["connections"] == 0
    assert crowded["connections"] >= 2000
    assert crowded["crowd"][0]["called"] == crowded["connections"]
    assert len(crowded["crowd"][1]["calls"]) == 13  # kinds of trouble
    assert crowded["rounds_among_them"] >= 2
    assert crowded["status_worst"] < 5
    assert crowded["most_open_files"] < 1024
    assert max(crowded["memory"].values()) - max(undisturbed["memory"].values()) < 64 * 2**20
    ordered = kept["transactions_per_second"]
    assert ordered["all are asked"] > ordered["nobody asks"] / 4
