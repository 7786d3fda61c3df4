"""The console of commands: progress on standard error, results on standard output.

No command is silent for longer than a few seconds: `narration` surrounds all of them and tells what goes on. What that
is, a command says with `say`; a bar on a terminal, a server, or a stream of results takes the place of these lines.
"""

import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Lock, Thread
from time import monotonic
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from medward.agents.compilation import ONE_XLA_THREAD
from medward.errors import printable

QUIET = "MEDWARD_QUIET"
"""The environment's variable that leaves lines of progress out, for what runs from a timetable."""
_FIRST_SECONDS, _TELL_SECONDS, _LOOK_SECONDS = 2.0, 3.0, 0.1
_MOST_LETTERS = 300


class _Errors(Console):
    """Standard error; whatever is printed there breaks the silence."""

    def print(self, *args: Any, **options: Any) -> None:
        super().print(*args, **options)
        _PRESENT.heard()


def errors() -> Console:
    """Return the console for everything that is not the result."""
    return _Errors(stderr=True, soft_wrap=True)


@dataclass
class _Present:
    """What the command in progress is doing, since when it runs, and when that is told next."""

    doing: str = ""
    began: float = 0.0
    due: float = 0.0
    muted: int = 0

    def __post_init__(self) -> None:
        self.lock = Lock()

    def begin(self) -> None:
        with self.lock:
            self.doing, self.muted, self.began = "", 0, monotonic()
            self.due = self.began + _FIRST_SECONDS

    def heard(self) -> None:
        """Take it down that the command was heard."""
        with self.lock:
            self.due = monotonic() + _TELL_SECONDS

    def sentence(self) -> str | None:
        """Return what is to be told now, if anything is."""
        with self.lock:
            now = monotonic()
            if self.muted or now < self.due:
                return None
            self.due = now + _TELL_SECONDS
            return printable(f"{(self.doing or 'at work')[:_MOST_LETTERS]} ({now - self.began:.0f} s)")


_PRESENT = _Present()
_OVER, _TELLER = Event(), "narration"


@contextmanager
def narration() -> Iterator[None]:
    """Tell on standard error what goes on meanwhile, after two seconds and then whenever three passed in silence."""
    if os.environ.get(QUIET):
        yield
        return
    _PRESENT.begin()
    _OVER.clear()
    teller = Thread(target=_tell, name=_TELLER, daemon=True)
    teller.start()
    try:
        yield
    finally:
        end_narration()


def end_narration() -> None:
    """Tell nothing more, and end the thread that did: before a process gives up privileges, which threads have each."""
    _OVER.set()
    for thread in threading.enumerate():
        if thread.name == _TELLER:
            thread.join()


def _tell() -> None:
    while not _OVER.wait(_LOOK_SECONDS):
        if (sentence := _PRESENT.sentence()) is not None:
            errors().print(sentence, markup=False, highlight=False)


def say(what: str, *, at_once: bool = False) -> None:
    """Say what the command is doing from now on, for the next line of progress: "reading flows.csv".

    Args:
        what: it, without a full stop.
        at_once: whether that line comes now: for what will take long.
    """
    with _PRESENT.lock:
        _PRESENT.doing = what
        if at_once:
            _PRESENT.due = 0.0


@contextmanager
def waiting(for_what: str) -> Iterator[None]:
    """Say what a command waits for, two seconds after it began to."""
    before = _PRESENT.doing
    with _PRESENT.lock:
        _PRESENT.doing = f"waiting for {for_what}"
        _PRESENT.due = monotonic() + _FIRST_SECONDS
    try:
        yield
    finally:
        say(before)


@contextmanager
def unnarrated() -> Iterator[None]:
    """Tell nothing meanwhile: for what shows its own progress, and for servers, whose silence means no harm."""
    with _PRESENT.lock:
        _PRESENT.muted += 1
    try:
        yield
    finally:
        with _PRESENT.lock:
            _PRESENT.muted -= 1
        _PRESENT.heard()


class _Count(MofNCompleteColumn):
    """How many are done, where it is known of how many."""

    def render(self, task: Task) -> Text:
        return Text() if task.total is None else super().render(task)


@contextmanager
def progress() -> Iterator[Progress | None]:
    """Show bars on a terminal, in place of lines; yield None elsewhere."""
    console = errors()
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), _Count(), TimeElapsedColumn())
    with unnarrated(), Progress(*columns, console=console, transient=True) as bars:
        yield bars


def print_json(document: dict[str, Any]) -> None:
    """Print the one JSON document of a command that was asked for it."""
    json.dump(document, sys.stdout, indent=2)
    print()


def use_one_thread_per_operation() -> None:
    """Tell JAX, before it starts, that its matrices are small: threads inside one operation cost more than they give.

    Hospitals train side by side on the cores instead. A user's own XLA_FLAGS win.
    """
    os.environ.setdefault("XLA_FLAGS", ONE_XLA_THREAD)
