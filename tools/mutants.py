"""Take one safety check after the other out of the code, and see that a test or a simulated campaign notices.

    python tools/mutants.py --quick            each mutant with its named tests alone; what CI runs
    python tools/mutants.py --keep             tests, and the campaigns for SEEDS seeds; writes benchmarks/results/mutants.json
    python tools/mutants.py --only "N3" ...    those alone whose name or rule contains one of these words

The checks, with the rule that each enforces, are in mutants_table.py. Each is taken out in a copy of the tree, two
copies at a time. The last line is `mutants: K killed of N`; the exit status is 1 unless all are killed, and where the
tests fail on the tree as it is, or a check is not found in its file exactly once.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Queue

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tools.mutants_table import MUTANTS, Mutant  # noqa: E402

KEPT = ROOT / "benchmarks" / "results" / "mutants.json"
#: How many seeds of a campaign are run on a mutant.
SEEDS = 40
#: Seconds after which a test that hangs counts as failed.
PATIENCE = 600
CAMPAIGNS = {"ledger": "tests.sim.scenario", "federation": "tests.sim.federation_scenario"}
_CAMPAIGN = """
import sys
from {module} import run_seed
from tests.sim.checker import Violation
for seed in range({seeds}):
    try:
        run_seed(seed)
    except (Violation, AssertionError) as found:
        print("seed", seed, found)
        sys.exit(1)
"""


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant.

    Args:
        name, rule, file: as the table has them.
        killed: whether anything noticed.
        test: the first test that failed, or "" where all passed.
        seed: the first seed at which the campaign found a violation; None where it found none, or none was run.
        trouble: why it could not be judged.
    """

    name: str
    rule: str
    file: str
    killed: bool
    test: str = ""
    seed: int | None = None
    trouble: str = ""

    def __str__(self) -> str:
        found = [self.test] if self.test else []
        found += [] if self.seed is None else [f"seed {self.seed}"]
        what = self.trouble or ", ".join(found) or "nothing noticed"
        return f"{'killed' if self.killed else 'SURVIVED'}  {self.rule}: {self.name} ({what})"


def misplaced(mutants: Sequence[Mutant], root: Path) -> list[str]:
    """Return what is wrong with the table: checks that are not in their file exactly once, and names that repeat."""
    found = []
    for mutant in mutants:
        count = (root / mutant.file).read_text(encoding="utf-8").count(mutant.old)
        if count != 1:
            found.append(f"{mutant.name}: its text occurs {count} times in {mutant.file}, and must occur once")
        if not mutant.tests:
            found.append(f"{mutant.name}: no test is named")
    names = [mutant.name for mutant in mutants]
    return found + [f"{name}: two mutants have this name" for name in sorted({n for n in names if names.count(n) > 1})]


def copy_tree(to: Path) -> None:
    """Copy what git tracks, as it lies here."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in listed.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


def run_tests(tree: Path, tests: Sequence[str], *options: str) -> tuple[int, str]:
    """Run tests in a tree; return pytest's exit status, 1 where they hung, and the first test that failed."""
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-n", "0", "-p", "no:cacheprovider", "-m", "", *options]
    status, text = _run(tree, [*command, *tests])
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", text, re.MULTILINE)
    return status, failed[1] if failed else "" if status == 0 else text.strip().splitlines()[-1]


def run_campaign(tree: Path, campaign: str, seeds: int) -> int | None:
    """Run a campaign's seeds in a tree; return the first that finds a violation."""
    program = _CAMPAIGN.format(module=CAMPAIGNS[campaign], seeds=seeds)
    status, text = _run(tree, [sys.executable, "-c", program])
    found = re.search(r"^seed (\d+)", text, re.MULTILINE)
    return int(found[1]) if status == 1 and found else None


def _run(tree: Path, command: Sequence[str]) -> tuple[int, str]:
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONWARNINGS": "ignore"}
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return 1, f"FAILED hung for {PATIENCE} s"
    return done.returncode, done.stdout


def judge(mutant: Mutant, tree: Path, seeds: int) -> Verdict:
    """Take a check out of a tree, see what notices, and put it back."""
    path = tree / mutant.file
    source = path.read_text(encoding="utf-8")
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


def main(arguments: Sequence[str]) -> int:
    """Run what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="run no campaigns")
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD", help="mutants with such a name or rule")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="seeds of a campaign on each mutant")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at a time")
    parser.add_argument("--keep", action="store_true", help=f"write what was found to {KEPT.name}")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    mutants = [m for m in MUTANTS if any(word in f"{m.rule}: {m.name}" for word in options.only)]
    if wrong := misplaced(mutants, ROOT):
        print(*wrong, sep="\n")
        return 1
    with tempfile.TemporaryDirectory(prefix="medward-mutants-") as folder:
        trees: Queue[Path] = Queue()
        for number in range(options.jobs):
            copy_tree(Path(folder) / str(number))
            trees.put(Path(folder) / str(number))
        tests = sorted({test for mutant in mutants for test in mutant.tests})
        status, failed = run_tests(Path(folder) / "0", tests)
        if status:
            print(f"the tests fail on the tree as it is: {failed}")
            return 1

        def one(mutant: Mutant) -> Verdict:
            tree = trees.get()
            try:
                verdict = judge(mutant, tree, 0 if options.quick else options.seeds)
            finally:
                trees.put(tree)
            print(verdict, flush=True)
            return verdict

        with ThreadPoolExecutor(options.jobs) as pool:
            verdicts = list(pool.map(one, mutants))
    killed = sum(verdict.killed for verdict in verdicts)
    if options.keep:
        seconds = round(time.monotonic() - began)
        kept = {"seeds": 0 if options.quick else options.seeds, "seconds": seconds}
        KEPT.write_text(json.dumps(kept | {"mutants": [asdict(v) for v in verdicts]}, indent=1) + "\n")
    print(f"mutants: {killed} killed of {len(verdicts)}")
    return 0 if killed == len(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
