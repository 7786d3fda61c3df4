"""The commands of docs/run-a-node.md, as the tests run them: what is documented is what is tested."""

import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.node.hosts import MEDWARD

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "run-a-node.md"
Command = tuple[str, ...]


def commands(heading: str) -> list[Command]:
    """Return the commands in the shell blocks below a heading, in their order.

    Args:
        heading: the heading's text; its section ends at the next heading of the same level or above.
    """
    found = [tuple(words) for line in _shell_lines(heading) if (words := shlex.split(line, comments=True))]
    assert found, f"{DOCUMENT} documents no command below {heading!r}"
    return found


def _shell_lines(heading: str) -> list[str]:
    """Return the lines of the shell blocks of a section, those that go on joined."""
    level, inside, lines = 0, "", []
    for line in DOCUMENT.read_text().replace("\\\n", " ").splitlines():
        fence = line.strip().startswith("```")
        title = re.fullmatch(r"(#+) (.*)", line)
        if fence:
            inside = "" if inside else line.strip()
        elif inside == "```sh" and level:
            lines.append(line)
        elif title is not None and not inside:
            depth = len(title[1])
            level = depth if title[2] == heading else 0 if depth <= level else level
    return lines


def adapted(command: Command, stand_ins: Mapping[str, object]) -> list[str]:
    """Return what to run for a documented command, with this test's names and places for the document's.

    Args:
        command: begins with `medward`, or with a command of the system.
        stand_ins: what stands for what, inside of words; the longest counts.
    """
    shown = re.compile("|".join(re.escape(one) for one in sorted(stand_ins, key=len, reverse=True)))
    words = [shown.sub(lambda match: str(stand_ins[match[0]]), word) for word in command]
    return [*MEDWARD, *words[1:]] if words[0] == "medward" else words


def said(command: Sequence[str]) -> str:
    """Run a command that must succeed, and return what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout
