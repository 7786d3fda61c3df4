"""`medward bench agents`: how fast Sentinel learns and decides, beside eager PyTorch and stable-baselines3."""

import typer

from medward.cli._console import say, use_one_thread_per_operation


def agents(
    updates: int = typer.Option(1000, min=1, help="How many updates each learner is timed on, after a warm-up."),
    repeats: int = typer.Option(5, min=1, help="How often each is timed; medians are printed."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document on standard output."),
) -> None:
    """Time training updates and scoring on one core, in one run.

    PyTorch and stable-baselines3 are compared with where they are installed (the extra `bench-torch`).

    Example: `medward bench agents --json`
    """
    use_one_thread_per_operation()
    from medward.bench.agents.measures import measure
    from medward.bench.rows import print_benchmark

    say("timing updates and decisions")
    print_benchmark("Sentinel on one core", measure(updates, repeats), as_json)
