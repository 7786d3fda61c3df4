"""The power fails: of a journal only what was synced is left, at one replica or at all of them at once."""

import asyncio
import pickle
import signal
import subprocess
import sys
from itertools import repeat
from random import Random

import pytest

from medward.ledger.errors import JournalError
from tests.ledger.cluster import Cluster
from tests.ledger.pbft.runtime.test_journal import IDENTITY, content, strip, units, write_all
from tests.ledger.power import COMPILER, cut_power, lazy_disk
from tests.ledger.workload import Workload, assert_agreement

__all__ = ["units"]
NAMES = ["h0", "h1", "h2", "h3"]
pytestmark = pytest.mark.skipif(COMPILER is None, reason="needs a C compiler for a disk that forgets")

WRITER = """
import os, pickle, signal, sys
from pathlib import Path
from medward.ledger.pbft.runtime.journal import ReplicaJournal
ReplicaJournal.create(Path(sys.argv[1]), bytes.fromhex(sys.argv[4])).close()
journal = ReplicaJournal(Path(sys.argv[1]))
journal._database.execute(f"PRAGMA synchronous = {sys.argv[3]}")
journal.allocate()
for unit in pickle.load(open(sys.argv[2], "rb")):
    journal.commit(unit)
os.kill(os.getpid(), signal.SIGKILL)
"""


def written_until_the_power_failed(tmp_path, some, synchronous):
    folder, environment = tmp_path / "journal", lazy_disk(tmp_path)
    (tmp_path / "units").write_bytes(pickle.dumps([list(map(strip, unit)) for unit in some]))
    command = [sys.executable, "-c", WRITER, str(folder), str(tmp_path / "units"), synchronous, IDENTITY.hex()]
    run = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert run.returncode == -signal.SIGKILL, run.stderr
    cut_power(folder)
    return folder


def test_what_a_commit_promised_is_there_when_the_power_is_back(tmp_path, units):
    folder = written_until_the_power_failed(tmp_path, units[:20], "FULL")
    write_all(tmp_path / "reference", units[:20])
    assert content(folder) == content(tmp_path / "reference")


def test_a_journal_that_does_not_sync_is_found_out(tmp_path, units):
    folder = written_until_the_power_failed(tmp_path, units[:20], "OFF")
    with pytest.raises(JournalError):
        content(folder)


@pytest.mark.slow
def test_power_failures_of_one_and_of_all_lose_nothing_that_was_acknowledged(tmp_path):
    cluster = Cluster(tmp_path, 4)
    cluster.environment = lazy_disk(tmp_path)
    cluster.start_all()

    async def story():
        workload, random, lost = Workload(cluster, 21), Random(21), 0
        await workload.progress(20)
        # Who comes just after a sync has nothing to lose: on a busy machine that may be all of the first six.
        for count, victims in enumerate((NAMES, ["h0"], NAMES, ["h1", "h2"], ["h3"], NAMES, *repeat(NAMES, 30))):
            if count >= 6 and lost:
                break
            await asyncio.sleep(random.random() * 0.2)
            for name in victims:
                cluster.kill(name)
            lost += sum(cut_power(cluster.folder(name) / "journal") for name in victims)
            for name in victims:
                cluster.start(name)
            await workload.progress(random.randint(5, 20))
        await workload.finish()
        await assert_agreement(cluster, workload.history, NAMES)
        assert lost > 0

    try:
        asyncio.run(story())
    finally:
        cluster.stop()
