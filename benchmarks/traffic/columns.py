"""Prints the columns of the schema medward-flow for spec/meter.md, from medward/traffic/columns.py alone.

Run: python benchmarks/traffic/columns.py   (prints Markdown)
"""

from medward.traffic.columns import CHEAP, CHEAP_VIEWS, EXPENSIVE, EXPENSIVE_VIEWS, Measure


def table(measures: tuple[Measure, ...]) -> None:
    """Print one group."""
    print("| column | what it tells | unit |")
    print("|---|---|---|")
    for measure in measures:
        print(f"| `{measure.name}` | {measure.text} | {measure.unit} |")
    print()


def main() -> None:
    cheap, expensive = len(CHEAP) * len(CHEAP_VIEWS), len(EXPENSIVE) * len(EXPENSIVE_VIEWS)
    print(f"*Cheap*: {len(CHEAP)} measures in views of 2, 10 and 60 s, {cheap} columns.\n")
    table(CHEAP)
    print(f"*Expensive*, from payload: {len(EXPENSIVE)} measures in views of 2 and 10 s, {expensive} columns.\n")
    table(EXPENSIVE)


if __name__ == "__main__":
    main()
