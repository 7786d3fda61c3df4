"""The runs of a study in worker processes side by side, each on one core; the same numbers whatever their number.

Only the calling process writes the file of results, one finished run after the other. A worker ends with the process
that started it, however that ends.
"""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Any

from medward.agents.compilation import ONE_XLA_THREAD
from medward.errors import MedwardError
from medward.flows.datasets import Dataset
from medward.flows.prepared import PreparedData, prepare
from medward.flows.schema import Flows
from medward.studies.finished_runs import keep_run, kept_runs
from medward.studies.study import Study, left_out, run_method

#: Sums in another order round otherwise, so that numbers would differ from machine to machine: one thread for OpenMP,
#: for linear algebra, and (NPROC) for XLA, which divides large operations among as many threads as there are cores.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC"), "1")


@dataclass(frozen=True)
class Source:
    """A data set of a study, which each worker reads for itself.

    Args:
        dataset: what it is.
        rows: how many rows it has about; data sets of many rows are begun first.
        load: returns it and its rows for a seed; a function that can be pickled. Real data is the same for every seed,
            the ward is not.
    """

    dataset: Dataset
    rows: int
    load: Callable[[int], tuple[Dataset, Flows]]


@dataclass(frozen=True)
class _Order:
    """One run to be made."""

    key: str
    study: Study
    name: str
    load: Callable[[int], tuple[Dataset, Flows]]
    seed: int
    method: str

    @property
    def split(self) -> tuple[str, int]:
        """What stays in a worker from run to run."""
        return self.name, self.seed

    def __str__(self) -> str:
        return f"{self.name}, seed {self.seed}, {self.method}"


@dataclass(frozen=True)
class _Failure:
    """Why an order was not carried out, as a sentence."""

    sentence: str


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_studies(
    study: Study,
    sources: Sequence[Source],
    jobs: int,
    on_run: Callable[[dict[str, Any]], None],
    on_start: Callable[[str, int, int], None] = lambda *_: None,
) -> dict[str, list[dict[str, Any]]]:
    """Run what is not finished yet of a study, but for methods that make no sense on a data set (`left_out`).

    Args:
        study: what is compared.
        sources: on which data sets.
        jobs: how many worker processes, at least 1.
        on_run: called after each run, with those that were finished earlier first, and then in the order in which they
            end.
        on_start: called before each run with its name, how many were begun before it, and how many there are to make.

    Returns:
        For each data set's name all its runs, by seed and method: key, data, protocol, seed, method, metrics, unseen
        (the same measures on test rows whose features stand on no training row), repeated_share, seconds, and
        processor_seconds, which other work on the machine does not stretch.

    Raises:
        MedwardError: runs failed, or their workers ended. All others have been made and kept.
    """
    done = kept_runs(study.results)
    orders: dict[str, _Order] = {}
    for source in sorted(sources, key=lambda source: -source.rows):
        for seed in study.seeds:
            for method in study.methods:
                if left_out(method, source.dataset) is None:
                    key = study.key(source.dataset.name, seed, method)
                    orders[key] = _Order(key, study, source.dataset.name, source.load, seed, method)
    for key in orders:
        if key in done:
            on_run(done[key])

    def finished(run: dict[str, Any]) -> None:
        keep_run(study.results, run)
        done[run["key"]] = run
        on_run(run)

    missing = [order for key, order in orders.items() if key not in done]
    failures = _Crew(missing, min(jobs, len(missing)), finished, on_start).work()
    if failures:
        more = f"; {len(failures) - 1} more of {len(missing)} runs failed" if len(failures) > 1 else ""
        kept = f"; finished runs are kept in {study.results}" if study.results else ""
        raise MedwardError(f"{failures[0]}{more}{kept}.")
    return {
        source.dataset.name: [done[key] for key, order in orders.items() if order.name == source.dataset.name]
        for source in sources
    }


class _Crew:
    """The workers and what is left for them to do."""

    def __init__(
        self,
        orders: Sequence[_Order],
        jobs: int,
        finished: Callable[[dict[str, Any]], None],
        on_start: Callable[[str, int, int], None],
    ) -> None:
        self._left, self._finished, self._jobs = list(orders), finished, jobs
        self._on_start, self._all = on_start, len(orders)
        self._busy: dict[Connection, tuple[BaseProcess, _Order]] = {}
        self._processes: list[BaseProcess] = []
        self._failures: list[str] = []

    def work(self) -> list[str]:
        """Hand out everything; return a sentence about each run that failed, the first one first."""
        try:
            for _ in range(self._jobs):
                self._hire()
            while self._busy:
                for ready in wait(list(self._busy)):
                    assert isinstance(ready, Connection)
                    self._take(ready)
        finally:
            for process in self._processes:
                process.kill()
                process.join()
        return self._failures

    def _hire(self) -> None:
        """Start a worker, and give it a run."""
        connection, process = _hired()
        self._processes.append(process)
        self._hand_out(connection, process, None)

    def _hand_out(self, connection: Connection, process: BaseProcess, at: tuple[str, int] | None) -> None:
        """Give a worker a run on the split that it has, or on one that nobody has, or the next one."""
        if not self._left:
            return
        taken = {order.split for _, order in self._busy.values()}
        order = min(self._left, key=lambda order: (order.split != at, order.split in taken))
        self._on_start(str(order), self._all - len(self._left), self._all)
        self._left.remove(order)
        self._busy[connection] = process, order
        try:
            connection.send(order)
        except OSError:  # It has ended; `_take` finds out.
            return

    def _take(self, connection: Connection) -> None:
        process, order = self._busy.pop(connection)
        try:
            outcome = connection.recv()
        except (EOFError, OSError):
            process.join()
            ended = f"the worker process ended with exit code {process.exitcode} before its run did"
            self._failures.append(f"{order}: {ended}")
            if self._left:
                self._hire()
            return
        if isinstance(outcome, _Failure):
            self._failures.append(f"{order}: {outcome.sentence}")
        else:
            self._finished(outcome)
        self._hand_out(connection, process, order.split)


def _hired() -> tuple[Connection, BaseProcess]:
    """Start a worker."""
    context = get_context("spawn")
    mine, its = context.Pipe()
    with _environment({"XLA_FLAGS": os.environ.get("XLA_FLAGS", ONE_XLA_THREAD), **ONE_THREAD}):
        process = context.Process(target=_work, args=(its,), daemon=True)
        process.start()
    its.close()
    return mine, process


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set variables for processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _work(orders: Connection) -> None:
    """Carry out one order after the other, in a worker process."""
    # Ctrl-C reaches every process of the terminal; the calling one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    at: tuple[str, int] | None = None
    prepared: PreparedData | None = None
    while True:
        try:
            order: _Order = orders.recv()
        except EOFError:  # Nothing is left to do.
            return
        try:
            if prepared is None or at != order.split:
                at, prepared = order.split, None
                dataset, flows = order.load(order.seed)
                prepared = prepare(dataset, flows, order.study.protocol, order.seed)
            run = run_method(order.study, prepared, order.method, order.seed)
            orders.send({"key": order.key, **run})
        except MedwardError as error:
            orders.send(_Failure(str(error).rstrip(".")))
        except Exception as error:  # Told by the calling process, whatever it is.
            orders.send(_Failure(f"{type(error).__name__}: {error}".rstrip(".").replace("\n", " ")))


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
