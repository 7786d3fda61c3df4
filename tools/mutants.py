"""Take one safety check after the other out of the code, and see that a test or a simulated campaign notices.

    python tools/mutants.py --quick            each mutant with its named tests alone; before a release
    python tools/mutants.py --quick --part 10  those that changed since they were kept, and a tenth; what CI runs
    python tools/mutants.py --keep             tests, and the campaigns for SEEDS seeds; writes what came of it
    python tools/mutants.py --only N3 ...      those alone whose name, rule or file contains one of these words

The checks, with the rule that each enforces, are in the folder `mutants`. Each is taken out in a copy of the tree, two
copies at a time. The last line is `mutants: K killed of N`; the exit status is 1 unless all are killed, and where the
tests fail on the tree as it is, or a check is not found in its file exactly once.

What is kept has a digest for each mutant: of its row, of its file and of the files of its tests. With `--part N` those
run whose digest is another now, or that were never kept; of the others those whose SHA-256 of `COMMIT FILE NAME` is a
multiple of N, so that another commit runs others, and whoever has the commit knows which.
"""

import argparse
import contextlib
import hashlib
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

from mutants_table import Mutant, read_table  # noqa: E402

KEPT = ROOT / "tools" / "mutants" / "kept.json"
#: How many seeds of a campaign are run on a mutant.
SEEDS = 40
#: Seconds after which a test that hangs counts as failed.
PATIENCE = 600
CAMPAIGNS = {"ledger": "tests.ledger.simulator.scenario", "federation": "tests.federation.simulator.scenario"}
#: Imported once by each worker, which forks for every run: a mutant then costs the project's own modules alone.
PRELOADED: tuple[str, ...] = (
    "pytest",
    "xdist.plugin",
    "hypothesis",
    "numpy",
    "numba",
    "scipy",
    "jax",
    "jax.numpy",
    "jax.flatten_util",
)
PRELOADED += ("equinox", "optax", "polars", "msgspec", "safetensors.numpy", "dag_cbor", "multiformats", "asyncio")
PRELOADED += ("ssl", "sqlite3", "cryptography.hazmat.primitives.ciphers.aead")
PRELOADED += ("scipy.linalg", "scipy.stats", "sklearn.ensemble", "sklearn.metrics", "joblib", "typer", "rich.progress")
PRELOADED += ("starlette.applications", "httpx", "uvicorn", "prometheus_client")


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant.

    Args:
        name, rule, file: as the table has them.
        killed: whether anything noticed.
        test: the first test that failed, or "" where all passed.
        seed: the first seed at which the campaign found a violation; None where it found none, or none was run.
        trouble: why it could not be judged.
        digest: of what it was judged on, as `digest` has it.
    """

    name: str
    rule: str
    file: str
    killed: bool
    test: str = ""
    seed: int | None = None
    trouble: str = ""
    digest: str = ""

    def __str__(self) -> str:
        found = [self.test] if self.test else []
        found += [] if self.seed is None else [f"seed {self.seed}"]
        what = self.trouble or ", ".join(found) or "nothing noticed"
        return f"{'killed' if self.killed else 'SURVIVED'}  {self.rule}: {self.name} ({what})"


def misplaced(mutants: Sequence[Mutant], root: Path) -> list[str]:
    """Return what is wrong with the table: checks that are not in their file exactly once, and names that repeat."""
    found = []
    for mutant in mutants:
        path = root / mutant.file
        count = path.read_text(encoding="utf-8").count(mutant.old) if path.is_file() else 0
        if count != 1:
            found.append(f"{mutant.name}: its text occurs {count} times in {mutant.file}, and must occur once")
        if not mutant.tests:
            found.append(f"{mutant.name}: no test is named")
    keys = [(mutant.file, mutant.name) for mutant in mutants]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    return found + [f"{name}: two mutants of {file} have this name" for file, name in twice]


def digest(mutant: Mutant, root: Path) -> str:
    """Return a digest of a mutant's row, of its file, and of the files of its tests."""
    found = hashlib.sha256(json.dumps(asdict(mutant)).encode())
    for path in sorted({mutant.file, *(test.partition("::")[0] for test in mutant.tests)}):
        found.update(hashlib.sha256((root / path).read_bytes()).digest())
    return found.hexdigest()[:16]


def changed(mutants: Sequence[Mutant], kept: Sequence[Verdict], root: Path) -> list[Mutant]:
    """Return the mutants that were never kept as killed, or of which something is not what it was then."""
    known = {(verdict.file, verdict.name): verdict.digest for verdict in kept if verdict.killed}
    return [mutant for mutant in mutants if known.get((mutant.file, mutant.name)) != digest(mutant, root)]


def drawn(mutants: Sequence[Mutant], commit: str, part: int) -> list[Mutant]:
    """Return about one mutant of so many, each commit others."""
    return [
        mutant
        for mutant in mutants
        if int(hashlib.sha256(f"{commit} {mutant.file} {mutant.name}".encode()).hexdigest(), 16) % part == 0
    ]


def together(table: Sequence[Mutant], kept: Sequence[Verdict], new: Sequence[Verdict]) -> list[Verdict]:
    """Return the verdicts on a table, in its order: the new ones, and what was kept of the others."""
    known = {(verdict.file, verdict.name): verdict for verdict in (*kept, *new)}
    return [known[mutant.file, mutant.name] for mutant in table if (mutant.file, mutant.name) in known]


def shared_out(tests: Sequence[str], jobs: int) -> list[list[str]]:
    """Return tests in at most so many shares, of which none is empty: those of a file stay together."""
    files = sorted({test.partition("::")[0] for test in tests})
    shares = [files[len(files) * job // jobs : len(files) * (job + 1) // jobs] for job in range(jobs)]
    return [[test for test in tests if test.partition("::")[0] in share] for share in shares if share]


def copy_tree(to: Path) -> None:
    """Copy what git tracks, as it lies here, and the kernels that were compiled beside it, which know their source."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in listed.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    for kept in ROOT.glob("medward/**/__pycache__/*.nb[ci]"):
        if (folder := to / kept.parent.relative_to(ROOT)).parent.is_dir():
            folder.mkdir(exist_ok=True)
            shutil.copy2(kept, folder)


def run_tests(tree: Path, tests: Sequence[str], *options: str) -> tuple[int, str]:
    """Run tests in a tree; return pytest's exit status, 1 where they hung, and the first test that failed."""

    def call() -> int:
        pytest = importlib.import_module("pytest")
        # the markers that an ordinary run leaves out are wanted here
        common = ["-q", "--tb=no", "-n", "0", "-p", "no:cacheprovider", "-m", ""]
        return int(pytest.main([*common, *options, *tests]))

    status, text = _forked(tree, call)
    failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", text, re.MULTILINE)
    last = text.strip().splitlines()[-1:] or [""]
    return status, failed[1] if failed else "" if status == 0 else last[0]


def run_campaign(tree: Path, campaign: str, seeds: int) -> int | None:
    """Run a campaign's seeds in a tree; return the first that finds a violation."""

    def call() -> int:
        run_seed = importlib.import_module(CAMPAIGNS[campaign]).run_seed
        for seed in range(seeds):
            try:
                run_seed(seed)
            except Exception as found:  # whatever a mutant does to the simulator is noticed
                print("seed", seed, found)
                return 1
        return 0

    status, text = _forked(tree, call)
    found = re.search(r"^seed (\d+)", text, re.MULTILINE)
    return int(found[1]) if status == 1 and found else None


def _forked(tree: Path, call: Callable[[], int]) -> tuple[int, str]:
    """Call a function in a child process whose project is `tree`; return its exit status and what it printed."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as out:
        child = os.fork()
        if not child:
            status = 70
            try:
                os.setsid()
                os.chdir(tree)
                os.environ["PYTHONPATH"] = str(tree)
                sys.dont_write_bytecode = "PYTHONDONTWRITEBYTECODE" in os.environ
                sys.path[0] = str(tree)
                for number in (1, 2):
                    os.dup2(out.fileno(), number)
                sys.stdout = sys.stderr = out
                status = call()
                out.flush()
            finally:
                os._exit(status)
        until = time.monotonic() + PATIENCE
        while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
            if time.monotonic() > until:
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return 1, f"FAILED hung for {PATIENCE} s"
            time.sleep(0.02)
        out.seek(0)
        return os.waitstatus_to_exitcode(ended[1]), out.read()


def judge(mutant: Mutant, tree: Path, seeds: int) -> Verdict:
    """Take a check out of a tree, see what notices, and put it back."""
    path = tree / mutant.file
    source, times = path.read_text(encoding="utf-8"), (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    about = (mutant.name, mutant.rule, mutant.file)
    try:
        path.write_text(source.replace(mutant.old, mutant.new), encoding="utf-8")
        status, test = run_tests(tree, mutant.tests, "-x")
        if status not in (0, 1):
            return Verdict(*about, killed=False, trouble=f"pytest ended with {status}: {test}")
        seed = run_campaign(tree, mutant.campaign, seeds) if seeds and mutant.campaign else None
        return Verdict(*about, killed=status == 1 or seed is not None, test=test, seed=seed)
    finally:
        path.write_text(source, encoding="utf-8")
        os.utime(path, ns=times)


def _prepare() -> None:
    for module in PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)


def _in_own_tree(folder: Path, seeds: int, mutant: Mutant) -> Verdict:
    """Judge a mutant in the tree of this worker, which the first one makes with what the tests compiled."""
    tree = folder / str(os.getpid())
    if not tree.exists():
        shutil.copytree(folder / "first", tree)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    verdict = judge(mutant, tree, seeds)
    print(verdict, flush=True)
    return verdict


def _selected(options: argparse.Namespace, table: Sequence[Mutant], kept: Sequence[Verdict]) -> list[Mutant]:
    """Return the mutants that the command line asks for, and say how many of how many these are."""
    named = [m for m in table if any(word in f"{m.file} {m.rule}: {m.name}" for word in options.only)]
    if options.part == 1:
        return named
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    commit = found.stdout.strip()
    new = changed(named, kept, ROOT)
    others = [mutant for mutant in named if mutant not in new]
    share = drawn(others, commit, options.part)
    print(
        f"{len(new) + len(share)} of {len(table)} mutants run: {len(new)} new or changed since they were kept, and "
        f"{len(share)} of the {len(others)} others, one in {options.part} by commit {commit[:12]}",
        flush=True,
    )
    return [mutant for mutant in named if mutant in new or mutant in share]


def main(arguments: Sequence[str]) -> int:
    """Run what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="run no campaigns")
    parser.add_argument(
        "--only", nargs="+", default=[""], metavar="WORD", help="mutants with such a name, rule or file"
    )
    parser.add_argument("--part", type=int, default=1, metavar="N", help="what changed, and one in N of the others")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="seeds of a campaign on each mutant")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at a time")
    parser.add_argument("--keep", action="store_true", help=f"write what was found to {KEPT.name}, beside the others")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    table = read_table()
    if wrong := misplaced(table, ROOT):
        print(*wrong, sep="\n")
        return 1
    before = json.loads(KEPT.read_text(encoding="utf-8"))
    kept = [Verdict(**row) for row in before["mutants"]]
    mutants = _selected(options, table, kept)
    whole, seeds = len(mutants) == len(table), 0 if options.quick else options.seeds
    if options.keep and not whole and seeds != before["seeds"]:
        parser.error(f"the others were kept with --seeds {before['seeds']}; keep some with as many, or all")
    with tempfile.TemporaryDirectory(prefix="medward-mutants-") as name:
        folder = Path(name)
        copy_tree(folder / "first")
        shares = shared_out(sorted({test for mutant in mutants for test in mutant.tests}), options.jobs)
        digests = [digest(mutant, folder / "first") for mutant in mutants]
        with ProcessPoolExecutor(options.jobs, initializer=_prepare) as pool:
            outcomes = list(pool.map(partial(run_tests, folder / "first"), shares))
            if failures := [failed for status, failed in outcomes if status]:
                print(f"the tests fail on the tree as it is: {', '.join(failures)}")
                return 1
            verdicts = list(pool.map(partial(_in_own_tree, folder, seeds), mutants))
    killed = sum(verdict.killed for verdict in verdicts)
    if options.keep:
        verdicts = [replace(verdict, digest=of) for verdict, of in zip(verdicts, digests, strict=True)]
        everything = together(table, kept, verdicts)
        took = round(time.monotonic() - began) if whole else before["seconds"]
        told = {"seeds": seeds, "seconds": took, "mutants": [asdict(verdict) for verdict in everything]}
        KEPT.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(f"mutants: {killed} killed of {len(verdicts)}")
    return 0 if killed == len(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
