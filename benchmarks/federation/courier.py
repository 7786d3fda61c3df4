"""Courier against schedules: bytes on the wire and macro-F1, paired over federations; and how its policy was learned.

Run `python benchmarks/federation/courier.py` with one of

    log      [--minutes 4]   play federations of the training seeds, keep every decision
    learn                    learn policies from that log, one for each price and seed
    improve  [--minutes 4]   play around what was learned; learn again then
    choose   [--minutes 4]   play them on validation seeds
    compare  [--minutes 4]   play schedules and the chosen policies on test seeds
    ship                     write the policy for one price into the package
    table                    print the tables of docs/results/courier.md
    plot                     draw docs/images/courier.svg

Data come from MEDWARD_DATA (see `medward data list`); the ward is synthetic. A federation is one data set, split and
dealt to four hospitals by its seed. What was played is kept in results/courier-*.jsonl and not played again, so each
command can be stopped and goes on; with --minutes it stops by itself.
"""

import argparse
import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, astuple, dataclass
from importlib import resources
from pathlib import Path
from statistics import fmean
from time import monotonic
from typing import Any

import matplotlib
import numpy as np
from matplotlib import pyplot

from medward.agents.courier.exploring import Exploring
from medward.agents.courier.learner import CourierRecipe, learn, log_of
from medward.agents.courier.observation import Decision, Observation
from medward.agents.courier.policies import NEWEST, CourierPolicy, EventTriggered, Every, read_policy
from medward.agents.sentinel.judgement import judge
from medward.agents.sentinel.model import Provenance
from medward.agents.sentinel.recipe import RECIPES
from medward.cli._console import use_one_thread_per_operation
from medward.cli._data import open_data
from medward.federation.simulation.rehearsal import CourierEpisode, Rehearsal
from medward.federation.simulation.training import FederatedTraining, Options
from medward.flows.datasets import Dataset
from medward.flows.prepared import PreparedData, prepare
from medward.flows.schema import Flows

RESULTS = Path(__file__).parent / "results"
LOG, CANDIDATES = RESULTS / "courier-log.jsonl", RESULTS / "courier-candidates.jsonl"
CHOICE, COMPARISON = RESULTS / "courier-choice.jsonl", RESULTS / "courier.jsonl"
#: What schedules are ranked by.
SCORE = "multiclass_macro_f1"
PLOT = Path(__file__).parents[2] / "docs" / "images" / "courier.svg"

SITES, ROUNDS = 4, 16
#: What Courier chooses from: how long to train before the next sum; 0 ends the training.
MENU = tuple(Decision(periods) for periods in (0, 1, 2, 4, 8))
ODDS = (1, 6, 6, 6, 6)
#: Each federation has its own draw of so large a share of the data set, in runs of so many rows of a capture.
SHARE, RUN = 0.25, 200
#: The recipe is that of the data set before it had training costs of its own, smaller and faster, so that 20
#: federations times all policies fit on one core.
SMALLER = {
    "scaler": "standard", "embedding": 0, "hidden": (32, 32), "batch": 64, "local_steps": 30, "learning_rate": 5e-3,
    "training_costs": None,
}  # fmt: skip
#: Room for the rows of any hospital, so that all share what is compiled.
ROOM = 10_240
KINDS = (("ciciomt2024", "dirichlet"), ("ciciomt2024", "blocks"))
TEST, TRAINING, VALIDATION = range(10), range(100, 108), range(200, 203)
EVENTS = tuple(f"event:{256 * octave}" for octave in (-4, -3, -2))
EPISODES, IMPROVING, LEARNERS = 8, 6, 2
#: Of a byte, in units of the expected cost of a window.
PRICES = (1e-10, 3e-10, 1e-9)
#: The price of the policy that medward brings.
SHIPPED = 3e-10


@dataclass(frozen=True)
class Scene:
    """One federation: a data set, how it is dealt, and the seed of both."""

    data: str
    partition: str
    seed: int


class Stage:
    """Makes federations, one at a time."""

    def __init__(self) -> None:
        self._scene: Scene | None = None
        self._read: dict[str, tuple[Dataset, Flows]] = {}

    def of(self, scene: Scene) -> tuple[PreparedData, Rehearsal]:
        """Return a federation's data and its rehearsal."""
        if self._scene != scene:
            if scene.data not in self._read:
                self._read[scene.data] = open_data(scene.data, 0)
            dataset, flows = self._read[scene.data]
            flows = some(flows, scene.seed)
            self._prepared = prepare(dataset, flows, "honest", scene.seed)
            options = Options(SITES, ROUNDS, scene.partition, protect="none", seed=scene.seed, courier="every:1")  # type: ignore[arg-type]
            recipe = RECIPES[dataset.name].change(**SMALLER)
            training = FederatedTraining(self._prepared, recipe, options)
            for hospital in training.hospitals:
                hospital.room = ROOM
            self._rehearsal = Rehearsal(training.hospitals, training.shared)
            self._scene = scene
        return self._prepared, self._rehearsal


def some(flows: Flows, seed: int) -> Flows:
    """Return a random part of a data set, in whole runs of rows."""
    run = np.arange(len(flows)) // RUN + (1 << 32) * flows.source.astype(np.int64)
    _, number = np.unique(run, return_inverse=True)
    kept = np.random.default_rng([seed, 0xC0]).random(number.max() + 1) < SHARE
    return flows.take(np.flatnonzero(kept[number]))


def scenes(seeds: range) -> Iterator[Scene]:
    for seed in seeds:
        for data, partition in KINDS:
            yield Scene(data, partition, seed)


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def keep(file: Path, row: dict[str, Any]) -> None:
    with file.open("a") as out:
        out.write(json.dumps(row) + "\n")


def measured(stage: Stage, scene: Scene, policy: CourierPolicy) -> tuple[CourierEpisode, dict[str, Any]]:
    """Play one training and return it with what the table needs, measured on test rows."""
    prepared, rehearsal = stage.of(scene)
    episode = rehearsal.play(policy)
    model = episode.shared.guard(provenance(scene, episode))
    test = prepared.split.test
    result = judge(model, prepared.x[test], prepared.flows.y[test])
    return episode, {
        **asdict(scene),
        "policy": name_of(policy),
        "bytes": episode.spent,
        "sums": sum(1 for step in episode.steps if step.sent),
        "periods": [step.decision.periods for step in episode.steps],
        "validation_cost": episode.cost,
        "binary_macro_f1": result.metrics["binary"]["macro_f1"],
        "multiclass_macro_f1": result.metrics["multiclass"]["macro_f1"],
        "expected_cost": result.expected_cost,
    }


def provenance(scene: Scene, episode: CourierEpisode) -> Provenance:
    return Provenance("federated", episode.shared.round - 1, SITES, "none", scene.data == "ward", scene.seed)


def behaviours(scene: Scene, number: int) -> CourierPolicy:
    """Return the number-th policy that the log is made with: random decisions around schedules of every kind."""
    around: tuple[CourierPolicy, ...] = (Every(1), Every(2), Every(4), Every(8), EventTriggered(-256))
    return Exploring(around[number % len(around)], MENU, ODDS, (100, 50)[number % 2], 1000 * scene.seed + number)


def improving(scene: Scene, number: int) -> CourierPolicy:
    """Return the number-th policy around those that were learned last, one for each price, and schedules."""
    best = [read_policy(row["text"]) for row in read(CANDIDATES) if row["seed"] == 0]
    around: tuple[CourierPolicy, ...] = (*best, Every(1), Every(2), Every(4))
    return Exploring(around[number % len(around)], MENU, ODDS, 25, 1000 * scene.seed + number)


def log(minutes: float, numbers: range, behaves: Callable[[Scene, int], CourierPolicy]) -> None:
    """Play federations of the training seeds under the policies of some numbers."""
    began, stage = monotonic(), Stage()
    done = {(*place(row), row["number"]) for row in read(LOG)}
    for scene in scenes(TRAINING):
        for number in numbers:
            if (*asdict(scene).values(), number) in done:
                continue
            if monotonic() - began > 60 * minutes:
                return
            _, rehearsal = stage.of(scene)
            episode = rehearsal.play(behaves(scene, number))
            steps = [
                [astuple(s.seen), astuple(s.decision), s.gain, s.sent, astuple(s.then), s.ended] for s in episode.steps
            ]
            keep(LOG, {**asdict(scene), "number": number, "steps": steps})


def logged() -> list[tuple[Observation, Decision, float, int, Observation, bool]]:
    """Return the log's decisions, with the whole gain at the end and relative to the federation's other trainings.

    Gains of one training add up to what the whole training gained, so this changes no order of policies, and leaves out
    what a federation's difficulty and the cost's ups and downs in between would add to the targets.
    """
    rows = read(LOG)
    whole = [sum(gain for _, _, gain, *_ in row["steps"]) for row in rows]
    mean = {
        where: fmean(own for row, own in zip(rows, whole, strict=True) if place(row) == where)
        for where in {place(row) for row in rows}
    }
    return [
        (
            *(Observation(*seen), Decision(*decision)),
            own - mean[place(row)] if ended else 0.0,
            *(sent, Observation(*then), ended),
        )
        for row, own in zip(rows, whole, strict=True)
        for seen, decision, _, sent, then, ended in row["steps"]
    ]


def learned() -> Iterator[dict[str, Any]]:
    """Learn a policy for each price and seed."""
    steps = log_of(logged(), MENU)
    for price in PRICES:
        for seed in range(LEARNERS):
            policy = learn(steps, MENU, CourierRecipe(price), seed)
            yield {
                "price": price,
                "seed": seed,
                "decisions": len(steps.action),
                "policy": name_of(policy),
                "text": policy.text(),
            }


def candidates() -> None:
    """Learn policies from the log; earlier ones are replaced."""
    rows = list(learned())
    CANDIDATES.write_text("".join(json.dumps(row) + "\n" for row in rows))


def play(file: Path, seeds: range, policies: list[CourierPolicy], minutes: float) -> None:
    """Play what is missing of `policies` on federations, and keep it in `file`."""
    began, stage = monotonic(), Stage()
    done = {(*place(row), row["policy"]) for row in read(file)}
    for scene in scenes(seeds):
        for policy in policies:
            if (*asdict(scene).values(), name_of(policy)) in done:
                continue
            if monotonic() - began > 60 * minutes:
                return
            keep(file, measured(stage, scene, policy)[1])


SCHEDULES = ("every:1", "every:2", "every:4", "every:8", "every:16", *EVENTS, "random:2", "random:4")


def choose(minutes: float) -> None:
    """Play the candidates on the validation seeds."""
    play(CHOICE, VALIDATION, [read_policy(row["text"]) for row in read(CANDIDATES)], minutes)


def chosen() -> dict[float, str]:
    """Return for each price the candidate with the lowest mean cost + price * bytes on the validation seeds."""
    rows, wanted = read(CHOICE), {row["policy"] for row in read(CANDIDATES)}
    # Only federations that all candidates have played.
    played = by_policy([row for row in rows if wanted <= {r["policy"] for r in rows if place(r) == place(row)}])
    best: dict[float, str] = {}
    for price in PRICES:
        own = [row["policy"] for row in read(CANDIDATES) if row["price"] == price and row["policy"] in played]
        if own:
            best[price] = min(own, key=lambda text: fmean(objective(row, price) for row in played[text]))
    return best


def objective(row: dict[str, Any], price: float) -> float:
    """Return what the federation pays on validation rows: expected cost of a window and bytes."""
    return float(row["validation_cost"] + price * row["bytes"])


def name_of(policy: CourierPolicy) -> str:
    """Return what a policy is called in the files: its text, or a hash of it where it is long."""
    text = policy.text()
    return text if len(text) < 200 else f"learned-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def place(row: dict[str, Any]) -> tuple[str, str, int]:
    """Return which federation a row is of."""
    return row["data"], row["partition"], row["seed"]


def by_policy(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each policy, in the order of the federations."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=place):
        groups.setdefault(row["policy"], []).append(row)
    return groups


def texts() -> dict[str, str]:
    """Return the texts of the candidates by their names."""
    return {row["policy"]: row["text"] for row in read(CANDIDATES)}


def compare(minutes: float) -> None:
    """Play schedules and the chosen policies on the test seeds."""
    learned = [texts()[name] for name in dict.fromkeys(chosen().values())]
    play(COMPARISON, TEST, [read_policy(text) for text in (*learned, *SCHEDULES)], minutes)


def interval(differences: list[float]) -> tuple[float, float]:
    """Return the 95 % interval of the mean of paired differences, by bootstrap over federations."""
    values = np.array(differences)
    drawn = np.random.default_rng(0).integers(0, len(values), (10_000, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)


def ship() -> None:
    """Write the chosen policy for the price that medward ships into the package."""
    (resources.files("medward.agents.courier") / f"{NEWEST}.json").write_text(texts()[chosen()[SHIPPED]] + "\n")  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Line:
    """A policy over the test federations.

    Args:
        name: what tables call it.
        rows: its runs, in the order of the federations.
    """

    name: str
    rows: list[dict[str, Any]]

    def mean(self, what: str) -> float:
        """Return the mean of one measure."""
        return fmean(row[what] for row in self.rows)

    def less(self, other: "Line", what: str) -> list[float]:
        """Return this line's measure minus the other's, federation by federation."""
        return [own[what] - its[what] for own, its in zip(self.rows, other.rows, strict=True)]


def lines() -> tuple[list[Line], list[Line]]:
    """Return the schedules and the learned policies on the test federations that all of them have played."""
    schedules = {name_of(read_policy(text)): text for text in SCHEDULES}
    learned: dict[str, str] = {}
    for price, name in chosen().items():
        learned.setdefault(name, f"Courier, price {price * 1e9:g}")
    rows = [row for row in read(COMPARISON) if row["policy"] in {*schedules, *learned}]
    played = Counter(place(row) for row in rows)
    rows = [row for row in rows if played[place(row)] == len(schedules) + len(learned)]
    groups = by_policy(rows)

    def named(names: dict[str, str]) -> list[Line]:
        return [Line(name, groups[policy]) for policy, name in names.items() if policy in groups]

    return named(schedules), named(learned)


def rival(courier: Line, schedules: list[Line]) -> Line:
    """Return the cheapest schedule that is at least as good as Courier on average; the best one if none is."""
    good = [line for line in schedules if line.mean(SCORE) >= courier.mean(SCORE)]
    if good:
        return min(good, key=lambda line: line.mean("bytes"))
    return max(schedules, key=lambda line: line.mean(SCORE))


def nearest(courier: Line, schedules: list[Line]) -> Line:
    """Return the schedule whose bytes are nearest to Courier's, as a ratio."""
    return min(schedules, key=lambda line: abs(math.log(line.mean("bytes") / courier.mean("bytes"))))


def table() -> None:
    """Print the tables."""
    schedules, learned = lines()
    print(f"{len(schedules[0].rows)} federations.\n")
    print("| policy | sums | MB on the wire | binary macro-F1 | multi-class macro-F1 | expected cost |")
    print("|---|---|---|---|---|---|")
    for line in [*schedules, *learned]:
        means = " | ".join(
            f"{line.mean(what):.4f}" for what in ("binary_macro_f1", "multiclass_macro_f1", "expected_cost")
        )
        print(f"| {line.name} | {line.mean('sums'):.2f} | {line.mean('bytes') / 1e6:.1f} | {means} |")
    print()
    print("| policy | beside | bytes, share of the schedule's | multi-class macro-F1, points more | binary |")
    print("|---|---|---|---|---|")
    for line in learned:
        for other in dict.fromkeys((rival(line, schedules).name, nearest(line, schedules).name)):
            print(_beside(line, next(s for s in schedules if s.name == other)))
    print()
    print("| price of a GB | lowest objective of a schedule | Courier's | difference |")
    print("|---|---|---|---|")
    for price, text in chosen().items():
        own = next((line for line in learned if line.rows[0]["policy"] == text), None)
        if own is not None:
            print(_objectives(price, own, schedules))


def _beside(line: Line, other: Line) -> str:
    share = [own["bytes"] / its["bytes"] for own, its in zip(line.rows, other.rows, strict=True)]
    cells = [f"{fmean(share):.2f} ({_span(share, '.2f')})"]
    for what in ("multiclass_macro_f1", "binary_macro_f1"):
        points = [100 * difference for difference in line.less(other, what)]
        cells.append(f"{fmean(points):+.2f} ({_span(points, '+.2f')})")
    return f"| {line.name} | {other.name} | {' | '.join(cells)} |"


def _span(values: list[float], form: str) -> str:
    low, high = interval(values)
    return f"{low:{form}} to {high:{form}}"


def _objectives(price: float, own: Line, schedules: list[Line]) -> str:
    def paid(line: Line) -> list[float]:
        return [row["expected_cost"] + price * row["bytes"] for row in line.rows]

    best = min(schedules, key=lambda line: fmean(paid(line)))
    differences = [mine - its for mine, its in zip(paid(own), paid(best), strict=True)]
    return (
        f"| {price * 1e9:g} | {best.name}: {fmean(paid(best)):.4f} | {fmean(paid(own)):.4f} | "
        f"{fmean(differences):+.4f} ({_span(differences, '+.4f')}) |"
    )


def draw(schedules: list[Line], learned: list[Line]) -> None:
    """Draw both macro-F1 over the bytes."""
    matplotlib.rcParams.update({"svg.hashsalt": "courier", "font.size": 9})
    figure, panels = pyplot.subplots(1, 2, figsize=(8.4, 3.6), layout="constrained")
    both = (("multiclass_macro_f1", "multi-class macro-F1"), ("binary_macro_f1", "binary macro-F1"))
    for axes, (what, label) in zip(panels, both, strict=True):
        for kind, marker in (("every", "o"), ("event", "s"), ("random", "^"), ("Courier", "D")):
            own = [line for line in [*schedules, *learned] if line.name.startswith(kind)]
            own.sort(key=lambda line: line.mean("bytes"))
            x = [line.mean("bytes") / 1e6 for line in own]
            y = [line.mean(what) for line in own]
            axes.plot(x, y, marker=marker, markersize=5, linewidth=1, label=kind)
        axes.set(xlabel="MB on the wire, all sums and members", ylabel=f"{label}, test rows", xscale="log")
    panels[0].legend()
    figure.savefig(PLOT, metadata={"Date": None})
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("log", "learn", "improve", "choose", "compare", "ship", "table", "plot"))
    parser.add_argument("--minutes", type=float, default=1e9)
    words = parser.parse_args()
    use_one_thread_per_operation()
    match words.what:
        case "log":
            log(words.minutes, range(EPISODES), behaviours)
        case "improve":
            log(words.minutes, range(EPISODES, EPISODES + IMPROVING), improving)
        case "learn":
            candidates()
        case "choose":
            choose(words.minutes)
        case "compare":
            compare(words.minutes)
        case "ship":
            ship()
        case "table":
            table()
        case "plot":
            draw(*lines())


if __name__ == "__main__":
    main()
