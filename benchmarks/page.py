"""Bring the printed parts of README.md and of the pages of results up to date, or check that they are.

    python benchmarks/page.py [--check]

The pages are README.md, docs/results.md, docs/gateway.md and docs/results/*.md. A printed part stands between two
comments, of which the first names its command:

    <!-- printed by: benchmarks/agents/results.py targets -->
    ...
    <!-- end -->

Such a command only reads the runs that are kept beside it; nothing is trained.
"""

import argparse
import contextlib
import functools
import io
import re
import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = (
    *(ROOT / "README.md", ROOT / "docs" / "results.md", ROOT / "docs" / "gateway.md"),
    *sorted((ROOT / "docs" / "results").glob("*.md")),
)
PART = re.compile(r"(<!-- printed by: (benchmarks/\S+\.py)((?: \S+)*) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def updated(text: str) -> str:
    """Return a page's text with every printed part printed anew."""
    return PART.sub(lambda part: f"{part[1]}\n{_printed(part[2], part[3]).strip()}\n\n{part[5]}", text)


def without_printed_parts(text: str) -> str:
    """Return what stands in a page by hand."""
    return PART.sub("", text)


@functools.cache
def _printed(script: str, words: str) -> str:
    """Run a script here, since starting Python and JAX for each would take longer than the printing."""
    out, before = io.StringIO(), (sys.argv, sys.path[:])
    sys.argv, sys.path = [script, *words.split()], [str((ROOT / script).parent), *sys.path]
    try:
        with contextlib.redirect_stdout(out):
            runpy.run_path(str(ROOT / script), run_name="__main__")
    finally:
        sys.argv, sys.path = before
    return out.getvalue()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a page is not up to date")
    options = parser.parse_args()
    for page in PAGES:
        before = page.read_text(encoding="utf-8")
        after = updated(before)
        if options.check and after != before:
            name = page.relative_to(ROOT)
            raise SystemExit(f"{name} is not what the scripts print: run python benchmarks/page.py.")
        page.write_text(after, encoding="utf-8")
