"""Stores that keep one round only, beside nodes that train: what is in use stays, what is long over goes."""

from pathlib import Path

import pytest

from medward.node.training.retention import MODELS
from medward.store.cid import Cid
from medward.store.local import open_directory
from tests.e2e.ward import NAMES, PATIENT, Ward, run

pytestmark = [pytest.mark.processes, pytest.mark.usefixtures("short_training")]


def test_model_and_last_round_are_in_every_store_and_earlier_rounds_in_none(tmp_path: Path) -> None:
    async def tell(ward: Ward) -> None:
        found = await ward.until_done()
        last = max(found)
        assert last >= 3
        model = Cid.parse(ward.state("h0")["model"])

        def all_tidied() -> bool:
            return all(oldest_round(ward, name) == last for name in NAMES)

        await ward.until(all_tidied, "the rounds before the last were let go of")
        await ward.launcher.stop(list(NAMES))
        for name in NAMES:
            with open_directory(ward.launcher.homes[name].store) as store:
                assert store.verify().intact
                assert store.has(model)
                assert len(store.pins(MODELS)) < last
                kept = {str(pin.cid) for pin in store.pins(f"round/{last}")}
                assert kept >= set(found[last]["contributions"].values())

    run(tmp_path, 3, tell, deadline=PATIENT, keep_rounds=1)


def oldest_round(ward: Ward, name: str) -> int:
    with open_directory(ward.launcher.homes[name].store, read_only=True) as store:
        labels = [pin.label for pin in store.pins() if pin.label.startswith("round/")]
    return min(int(label.removeprefix("round/")) for label in labels)
