"""Charts over the rounds as inline SVG, which takes its colours and its type from the page around it.

Matplotlib draws with marker colours that stand for CSS variables; they are put in their place afterwards, so that one
drawing reads well on a light page and on a dark one. No text that comes from data is ever drawn here: names stay in
HTML, where they are escaped, wrap and can be searched.
"""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

_INK, _GRID = "#000001", "#000002"
_SERIES = ("#000003", "#000004")
_VARIABLES = {_INK: "--muted", _GRID: "--line", _SERIES[0]: "--series-1", _SERIES[1]: "--series-2"}
_SVG, _HREF = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
# Two lines differ in dash and mark as well as in colour.
_STYLES = (("-", "o"), ((0, (5, 2)), "s"))
_SIZE_INCHES = (6.0, 3.6)
# Untyped keys: matplotlib's newer stubs know each by name, its older ones none.
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 12,
    "axes.unicode_minus": True,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "xtick.color": _GRID,
    "ytick.color": _GRID,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "ytick.left": False,
    "lines.linewidth": 2.0,
    "lines.markersize": 4.5,
}


@dataclass(frozen=True)
class Curve:
    """One line of a chart.

    Args:
        name: what it shows; not a name from a data file.
        values: its value at each round, None where it was not measured.
    """

    name: str
    values: Sequence[float | None]


@contextmanager
def drawing(settings: dict[Any, Any], key: str) -> Iterator[None]:
    """Draw with matplotlib's own settings and these: a user's are put aside, and the same drawing gives the same file.

    Args:
        settings: by matplotlib's names.
        key: what the ids inside the drawing derive from.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**settings, "svg.hashsalt": key})
        yield


def draw_curves(
    key: str,
    title: str,
    rounds: Sequence[int],
    curves: Sequence[Curve],
    void: Sequence[int] = (),
    top: float | None = None,
) -> Markup | None:
    """Draw one or two measures over the rounds.

    Args:
        key: a name that is unique on the page; all the ids inside the drawing begin with it.
        title: what the drawing shows, for those who do not see it.
        rounds: the rounds' numbers, ascending.
        curves: the lines; of two, the second is dashed.
        void: the rounds that came to nothing, marked on the axis.
        top: the upper end of a measure's scale, whose lower end is then the tenth below the least value; None for an
            amount, whose axis begins at 0.

    Returns:
        an `svg` element for a page that defines --muted, --line, --series-1 and --series-2; None where nothing was
        measured.
    """
    measured = [value for curve in curves for value in curve.values if value is not None]
    if not measured:
        return None
    with drawing(_SETTINGS, key):
        figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
        axes = figure.subplots()
        low = 0.0 if top is None else max(0.0, min(int(10 * min(measured)) / 10, top - 0.1))
        high = top if top is not None else max(measured) or 1.0
        # A little room above, or a line at the top would lie half outside.
        axes.set_ylim(low, high + 0.03 * (high - low))
        _draw(axes, rounds, curves, void)
        text = io.StringIO()
        # Left to itself, the file would carry a date, a version and an address.
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(text, format="svg", transparent=True, metadata=nothing)
    return _inline(text.getvalue(), key, title, _described(rounds, curves))


def _draw(axes: Axes, rounds: Sequence[int], curves: Sequence[Curve], void: Sequence[int]) -> None:
    for curve, colour, (dash, mark) in zip(curves, _SERIES, _STYLES, strict=False):
        # A round without a value left the model as it was or came before there was one: the line goes on over it.
        numbers, values = zip(*_points(rounds, curve), strict=True) if _points(rounds, curve) else ((), ())
        every = max(1, len(numbers) // 20)
        axes.plot(numbers, values, color=colour, linestyle=dash, marker=mark, markevery=every, label=curve.name)
    if void:
        bottom = [axes.get_ylim()[0]] * len(void)
        axes.plot(void, bottom, "x", color=_INK, markersize=6, markeredgewidth=1.5, clip_on=False, label="void round")
    axes.set_xlabel("round")
    axes.set_xlim(min(rounds) - 0.5, max(rounds) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1, steps=(1, 2, 5, 10)))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=(1, 2, 5, 10)))
    axes.figure.legend(
        loc="outside upper left",
        ncols=3,
        frameon=False,
        labelcolor=_INK,
        handlelength=2.2,
        handletextpad=0.5,
        columnspacing=1.2,
    )


def _points(rounds: Sequence[int], curve: Curve) -> list[tuple[int, float]]:
    return [(number, value) for number, value in zip(rounds, curve.values, strict=True) if value is not None]


def _described(rounds: Sequence[int], curves: Sequence[Curve]) -> str:
    """What the lines say, in words: where each begins, where it ends, and its extremes."""
    sentences = []
    for curve in curves:
        if points := _points(rounds, curve):
            (first, start), (last, end) = points[0], points[-1]
            values = [value for _, value in points]
            sentences.append(
                f"{curve.name}: {start:.4f} after round {first}, {end:.4f} after round {last}; "
                f"least {min(values):.4f}, greatest {max(values):.4f}."
            )
    return " ".join(sentences)


def _inline(text: str, key: str, title: str, description: str) -> Markup:
    """Turn a matplotlib file into an element of a page: ids of its own, the page's colours and type, words for it."""
    root = ElementTree.fromstring(text)
    wanted = {href[1:] for node in root.iter() if (href := node.get(_HREF))}
    wanted |= set(re.findall(r"url\(#([^)]+)\)", text))
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == f"{_SVG}style":
                # Inside a page its rule would reach every element; the root carries it below.
                parent.remove(child)
    for node in root.iter():
        node.tag = node.tag.removeprefix(_SVG)
        name = node.attrib.pop("id", None)
        if name in wanted:
            node.set("id", f"{key}-{name}")
        if href := node.attrib.pop(_HREF, None):
            node.set("href", f"#{key}-{href[1:]}")
        if clip := node.get("clip-path"):
            node.set("clip-path", clip.replace("url(#", f"url(#{key}-"))
        if style := node.get("style"):
            node.set("style", _page_style(style))
    size = root.get("viewBox", "")
    root.attrib.clear()
    root.attrib |= {
        "viewBox": size,
        "role": "img",
        "aria-labelledby": f"{key}-title {key}-desc",
        "style": "stroke-linejoin: round; stroke-linecap: butt",
    }
    for place, (tag, words) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(tag, {"id": f"{key}-{tag}"})
        element.text = words
        root.insert(place, element)
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # the tree's own text is escaped by this


def _page_style(style: str) -> str:
    for colour, variable in _VARIABLES.items():
        style = style.replace(colour, f"var({variable})")
    return re.sub(r"font-family: [^;]*;? ?", "", style)
