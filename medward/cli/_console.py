"""The console of commands: progress on standard error, results on standard output."""

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeElapsedColumn
from rich.text import Text


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
    over, began = threading.Event(), time.monotonic()

    def tell() -> None:
        pause = 2.0
        while not over.wait(pause):
            errors().print(f"waiting for {for_what}: {time.monotonic() - began:.0f} s", markup=False)
            pause = 5.0

    teller = threading.Thread(target=tell, daemon=True)
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
