"""Sphinx's settings for the documentation site, and the four things that Sphinx does not do by itself.

The source folder is the whole repository, so a relative link such as ../spec/round.md leads to the same page on the
site as it does where the repository is hosted. CONTRIBUTING.md has the command.
"""

import posixpath
import re
import subprocess
import sys
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

from medward import __version__

ROOT = Path(__file__).resolve().parents[2]
LONG_WORD = 24  # letters

project = "medward"
author = copyright = "The medward authors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
root_doc = "docs/site/index"
include_patterns = ["*.md", "docs/**.md", "spec/*.md", "examples/*.md"]
# Folders that hold nothing of the site are not walked through.
exclude_patterns = [".*", "benchmarks", "build", "dist", "medward", "medward-out*", "shared", "tests", "tools"]
# Older pages skip a level of headings here and there, which no reader notices.
suppress_warnings = ["myst.header"]
myst_heading_anchors = 6  # as the repository's host makes them, so that links to a heading hold in both places

smartquotes = False  # --option is no dash
default_role = "code"  # docstrings mark code as Markdown does
autodoc_default_options = {"members": True, "member-order": "bysource", "show-inheritance": True}
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
add_module_names = False

# A hospital reads it offline: no page asks another host for anything, and the search runs in the browser.
html_theme = "furo"
html_title = f"medward {version}"
html_copy_source = html_show_sourcelink = False
html_static_path = ["static"]
html_css_files = ["site.css"]
templates_path = ["templates"]
html_additional_pages = {"index": "start.html"}


def add_commands(_app: Sphinx, document: str, source: list[str]) -> None:
    """Append to the page of the command line what Typer says of every command."""
    if document == "docs/site/command-line":
        command = [sys.executable, "-m", "typer", "medward.cli", "utils", "docs", "--name", "medward"]
        text = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
        source[0] += _with_whole_sentences(text).partition("\n")[2]  # the page has a title already


def _with_whole_sentences(text: str) -> str:
    """Return the page with the whole first sentence of each command in the lists of commands, where Typer cuts it."""
    first = dict(re.findall(r"^#+ `(medward[^`]*)`\n\n(.+?)\n\n", text, re.MULTILINE | re.DOTALL))
    parent = ""

    def whole(line: str) -> str:
        nonlocal parent
        if heading := re.match(r"#+ `(medward[^`]*)`", line):
            parent = heading[1]
        item = re.match(r"\* `([a-z-]+)`: .*\.\.\.$", line)
        sentence = first.get(f"{parent} {item[1]}") if item else None
        return line if item is None or sentence is None else f"* `{item[1]}`: {' '.join(sentence.split())}"

    return "\n".join(map(whole, text.splitlines()))


def keep_colons(_app: Sphinx, what: str, _name: str, _object: object, _options: object, lines: list[str]) -> None:
    """Let the sentence about an attribute have a colon: what stands before one is taken for its type otherwise."""
    if what in ("attribute", "data", "property") and lines:
        lines.insert(0, "\\")  # an escaped line break, which shows nowhere


def resolve_folders(app: Sphinx, doctree: nodes.document) -> None:
    """Lead links to a folder to its README.md, as the repository's host does."""
    for node in doctree.findall(addnodes.pending_xref):
        if node.get("reftype") == "myst" and node.get("refdomain") is None:
            readme = posixpath.normpath(posixpath.join(posixpath.dirname(node["refdoc"]), node["reftarget"], "README"))
            if readme in app.env.found_docs:
                node.attributes.update(refdomain="doc", reftarget=readme, reftargetid=None)


def break_long_words(_app: Sphinx, doctree: nodes.document) -> None:
    """Let long names in tables break at their parts, each test on its line: they take all the room otherwise."""
    for cell in doctree.findall(nodes.entry):
        for text in [one for one in cell.findall(nodes.Text) if any(len(word) > LONG_WORD for word in one.split())]:
            text.parent.replace(text, [made for word in re.split(r"( )", str(text)) for made in _broken(word)])


def _broken(word: str) -> list[nodes.Node]:
    """Return a word that may break after each of its parts, with the end of a line after it if it is a test's name."""
    if len(word) <= LONG_WORD:
        return [nodes.Text(word)]
    parts = [nodes.Text(part) for part in re.split(r"(?<=[_/:])(?=[^_/:])", word)]
    made = [node for part in parts for node in (part, nodes.raw("", "<wbr>", format="html"))]
    return made[:-1] + ([nodes.raw("", "<br>", format="html")] if "::" in word else [])


def setup(app: Sphinx) -> None:
    """Connect the functions above."""
    app.connect("source-read", add_commands)
    app.connect("autodoc-process-docstring", keep_colons, priority=400)  # before napoleon
    app.connect("doctree-read", resolve_folders)
    app.connect("doctree-read", break_long_words)
