import importlib.util
import itertools
import mmap
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from medward.agents.compilation import ONE_XLA_THREAD
from medward.cli._console import QUIET
from medward.node.trial import ports
from tests import memory, tiers
from tools.run_tests import PART, at_once

# A busy machine is no defect: no property has a deadline, and how long an example takes to draw says nothing.
# The same examples each time, so that a change is judged by what it changes; MEDWARD_EXPLORE=1 draws others.
settings.register_profile(
    "medward",
    deadline=None,
    derandomize=not os.environ.get("MEDWARD_EXPLORE"),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("medward")

ROOT = Path(__file__).resolve().parent.parent
# XLA's older way of joining operations, which compiles faster, as most of the time of small models is compiling; and
# one thread for each operation, as commands have it.
XLA_FLAGS = ("--xla_cpu_use_fusion_emitters=false", ONE_XLA_THREAD)
PEAKS = pytest.StashKey[dict[str, int]]()
DROPPING = pytest.StashKey[memory.Dropping]()
# Files whose tests take longest, longest first: runs of the slower tiers begin with them, so that none of them is still
# under way when the other workers have nothing left to do.
LONGEST = (
    *("e2e/test_failures.py", "e2e/test_members.py", "e2e/test_crashes.py", "e2e/test_four_hosts.py"),
    *("cli/test_demo.py", "e2e/test_hostile_connections.py", "lab/test_run.py", "e2e/test_sealed_data.py"),
    *("e2e/test_mixed_hospitals.py", "node/outsourced/test_processes.py", "e2e/test_cometbft.py"),
    *("e2e/test_full_store.py", "studies/test_side_by_side.py", "federation/simulation/test_training.py"),
    *("fhe/test_campaign.py", "federation/scoring/test_full_size.py", "federation/test_membership_histories.py"),
    *("api/test_page.py", "fhe/ring/test_ring.py"),
)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[PEAKS] = {}
    fast = _is_fast_tier(config)
    config.stash[DROPPING] = memory.Dropping(memory.PLENTY if fast else memory.PLENTY_IN_SLOWER_TIERS)
    # Tests compare what commands say on standard error; how long they take on a busy machine is not part of it.
    os.environ[QUIET] = "1"
    # What JAX compiles for one worker, or before it is dropped, is compiled once; the next run finds it too.
    if (cache := getattr(config, "cache", None)) is not None:
        _keep_compiled(os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache.mkdir("jax"))))
    # The fast tests compile without any optimisation. What trains longer in the others needs a little: with none,
    # networks over sequences took twice as long, and with all of it, ensembles did.
    flags = (f"--xla_backend_optimization_level={0 if fast else 1}", *XLA_FLAGS)
    os.environ.setdefault("XLA_FLAGS", " ".join(flag for flag in flags if _is_known_to_xla(flag)))
    # The compilers' threads would each have a heap of their own, of which little is given back; workers inherit it.
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Read only files that may have tests of the tier."""
    if collection_path.suffix != ".py" or not collection_path.name.startswith("test_"):
        return None
    text = collection_path.read_text(encoding="utf-8")
    return None if tiers.may_have(text, config.option.markexpr) else True


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the longest files first; workers take them so with `--no-loadscope-reorder`.

    The fast tests, which read all files, end at a test that the run of its tier would overlook.
    """
    if not _is_fast_tier(config):
        items.sort(key=lambda item: longest_first(item.path))
        return
    for path, group in itertools.groupby(items, lambda item: item.path):
        if unseen := tiers.unseen(path, group):
            wanted = " and ".join(f"`pytest.mark.{mark}`" for mark in unseen)
            raise pytest.UsageError(
                f"{path} has tests of the tier {', '.join(unseen)}, whose run would not find them: write {wanted} in it"
            )


def longest_first(file: Path) -> int:
    """Return what to sort a file of tests by."""
    name = os.path.relpath(file, ROOT / "tests")
    return LONGEST.index(name) if name in LONGEST else len(LONGEST)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """As many as there are parts at once in the run of all tests."""
    return at_once()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    item.config.stash[DROPPING].drop()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take down how much memory a worker took: only the process that started it can tell and fail."""
    if peak := getattr(node, "workeroutput", {}).get("peak memory"):
        node.config.stash[PEAKS][node.gateway.id] = peak


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    peak, peaks = memory.of_this_process("VmHWM"), session.config.stash[PEAKS]
    if (told := getattr(session.config, "workeroutput", None)) is not None:
        told["peak memory"] = peak
        return
    peaks["the process that ran pytest"] = peak


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    peaks = config.stash[PEAKS]
    terminalreporter.write_line("most memory: " + ", ".join(f"{name} {peaks[name]} MiB" for name in sorted(peaks)))
    for sentence in memory.excess(peaks) if _is_fast_tier(config) else ():
        terminalreporter.write_line(f"memory: {sentence}", red=True)


def _keep_compiled(folder: str) -> None:
    """Let JAX keep what it compiles in this folder, here and in all processes that tests start."""
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    # It has read the environment already where pytest was given a folder whose conftest.py imports it.
    if (jax := sys.modules.get("jax")) is not None:
        jax.config.update("jax_compilation_cache_dir", folder)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)


def _is_fast_tier(config: pytest.Config) -> bool:
    """Tell whether the tests are those of everyday: the slower tiers have whole campaigns and federations to hold."""
    return "not slow" in config.option.markexpr


def _is_known_to_xla(flag: str) -> bool:
    """Tell whether the XLA that is installed has a flag: at one that it has not it ends the process."""
    name = flag.removeprefix("--").partition("=")[0].encode()
    for folder in getattr(importlib.util.find_spec("jaxlib"), "submodule_search_locations", None) or ():
        for path in Path(folder).glob("*.so"):
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as library:
                if library.find(name) >= 0:
                    return True
    return False


@pytest.fixture(scope="session", autouse=True)
def ports_of_its_own() -> None:
    """Give each of several processes a part of the ports: a node that is stopped a while finds its own free again."""
    ports._PORTS = ports_of(ports._PORTS, os.environ)


def ports_of(all_ports: range, environment: Mapping[str, str]) -> range:
    """Return the ports of a process of tests, which knows from its environment that it is one of several."""
    if (which := environment.get(PART)) is not None:
        number, many = map(int, which.split("/"))
    else:
        number = int(environment.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
        many = int(environment.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return all_ports[number::many]


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data sets; tests that ask for it are skipped where it is absent."""
    folder = Path(os.environ.get("MEDWARD_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real data sets at {folder}: name their folder in MEDWARD_DATA")
    return folder
