"""The console of commands: progress on standard error, results on standard output."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from threading import Event, Thread
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from medward.errors import printable

_TELL_SECONDS = 3.0


def errors() -> Console:
    """Return the console for everything that is not the result."""
    return Console(stderr=True, soft_wrap=True)


class _Count(MofNCompleteColumn):
    """How many are done, where it is known of how many."""

    def render(self, task: Task) -> Text:
        return Text() if task.total is None else super().render(task)


@contextmanager
def progress() -> Iterator[Progress]:
    """Show progress bars on a terminal, and nothing elsewhere."""
    console = errors()
    columns = (TextColumn("{task.description}"), BarColumn(), _Count(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        yield bars


@contextmanager
def waiting(for_what: str) -> Iterator[None]:
    """Say on standard error, after two seconds and then every five, what a command still waits for."""
    began = perf_counter()

    def tell() -> None:
        errors().print(f"waiting for {for_what}: {perf_counter() - began:.0f} s", markup=False)

    with _repeated(tell, 2.0, 5.0):
        yield


@contextmanager
def spoken_progress(doing: str) -> Iterator[Callable[[str], None]]:
    """Tell on standard error what a long command is doing: on a terminal at once, elsewhere a line every few seconds.

    Args:
        doing: what it does, such as "checking".

    Yields:
        What to call with the object of the present step, such as "the ledger".
    """
    console, began, present = errors(), perf_counter(), ["the files"]

    def sentence() -> str:
        return printable(f"{doing} {present[0]} ({perf_counter() - began:.0f} s)")

    with console.status("") if console.is_terminal else nullcontext() as status:

        def tell() -> None:
            if status is None:
                console.print(sentence(), markup=False, highlight=False)
            else:
                status.update(escape(sentence()))

        def said(what: str) -> None:
            present[0] = what
            if status is not None:
                tell()

        with _repeated(tell, _TELL_SECONDS, _TELL_SECONDS):
            yield said


@contextmanager
def _repeated(tell: Callable[[], None], first: float, pause: float) -> Iterator[None]:
    """Call a function beside what is done here: after `first` seconds, and then every `pause` seconds."""
    over = Event()

    def repeat() -> None:
        seconds = first
        while not over.wait(seconds):
            tell()
            seconds = pause

    teller = Thread(target=repeat, daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


def print_json(document: dict[str, Any]) -> None:
    """Print the one JSON document of a command that was asked for it."""
    json.dump(document, sys.stdout, indent=2)
    print()


def use_one_thread_per_operation() -> None:
    """Tell JAX, before it starts, that its matrices are small: threads inside one operation cost more than they give.

    Hospitals train side by side on the cores instead. A user's own XLA_FLAGS win.
    """
    import os

    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
