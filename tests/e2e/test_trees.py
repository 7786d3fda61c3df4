"""Hospitals that train as real processes and then grow trees, one of them killed while they grow."""

from pathlib import Path

import pytest

from tests.e2e.ward import PATIENT, Rounds, Ward, members, run, undisturbed

pytestmark = pytest.mark.processes

#: As few as may be: every node checks everybody's wide contributions.
NAMES = members(3)


def test_nodes_grow_the_trees_of_plain_addition_though_one_is_killed_meanwhile(tmp_path: Path) -> None:
    found: dict[str, str] = {}
    told: list[Rounds] = []

    async def story(ward: Ward) -> None:
        await ward.until(lambda: ward.state("h0")["next"] == "grow", "the first trees are grown")
        ward.launcher.kill("h2")
        ward.launcher.start("h2")
        told.append(await ward.until_done())
        found["model"] = ward.state("h0")["model"]
        shared = ward.model("h0", found["model"])
        assert shared.growth is not None
        trees = shared.growth.grown
        # A tree for every decision, twice; some of them are more than a leaf.
        assert len(trees) == 2 * len(shared.classes)
        assert len(trees.column) > len(trees)

    run(tmp_path, 1, story, names=NAMES, deadline=PATIENT, trees=True)
    grown = [one for one in told[0].values() if one["task"] == "grow"]
    assert len(grown) > 2
    assert all(one["outcome"] == "final" and sorted(one["cohort"]) == sorted(NAMES) for one in grown)
    assert found["model"] == undisturbed(1, len(NAMES), trees=True)
