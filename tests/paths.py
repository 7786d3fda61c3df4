"""Following the two paths that spec/round.md and spec/sentinel.md list: that of an update, and that of a flow."""

import ast
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).parents[1]
_STEP = re.compile(r"^(?:\d+\.| +) `(medward/[\w/]+\.py)`: ((?:`[\w.]+`,? ?)+)", re.MULTILINE)


def path_of(page: str, heading: str) -> list[tuple[str, str]]:
    """Return the file and the function of each step that a page lists under a heading."""
    text = (ROOT / "spec" / page).read_text(encoding="utf-8").split(f"### {heading}\n")[1].split("\n#")[0]
    return [(file, name) for file, names in _STEP.findall(text) for name in re.findall(r"`([\w.]+)`", names)]


UPDATE = path_of("round.md", "The files that an update goes through")
FLOW = path_of("sentinel.md", "The files that a flow goes through")


def functions_of(file: str) -> dict[str, bool]:
    """Return a file's functions and methods, and whether each is compiled, so that no profiler sees its calls."""
    found = {}
    for node in ast.parse((ROOT / file).read_text(encoding="utf-8")).body:
        for inner in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                name = f"{node.name}.{inner.name}" if isinstance(node, ast.ClassDef) else inner.name
                found[name] = any(ast.unparse(one).startswith("kernel(") for one in inner.decorator_list)
    return found


@contextmanager
def calls(path: list[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """Collect the calls of a path's functions in this thread and in those that begin meanwhile, by file and name."""
    seen: list[tuple[str, str]] = []
    wanted = {(str(ROOT / file), name.rpartition(".")[2]): (file, name) for file, name in path}

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            known = wanted.get((frame.f_code.co_filename, frame.f_code.co_name))
            if known is not None:
                seen.append(known)

    before = sys.getprofile()
    sys.setprofile(note)
    threading.setprofile(note)
    try:
        yield seen
    finally:
        sys.setprofile(before)
        threading.setprofile(before)  # type: ignore[arg-type]


def follow(path: list[tuple[str, str]], seen: list[tuple[str, str]]) -> None:
    """Find the steps among the calls, each after the one before."""
    rest = iter(seen)
    for file, name in path:
        assert functions_of(file)[name] or (file, name) in rest, f"{name} of {file} is not called where the page says"
