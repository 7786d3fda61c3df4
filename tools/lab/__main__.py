"""A hospital ward in network namespaces of its own, with attacks: labelled captures of real packets, from a seed.

    python tools/lab --seed 7 --seconds 120 --out runs/        writes runs/run-7.pcap and runs/run-7.labels.json

Nothing leaves the namespaces, and nothing is left when it ends, however it ends. On Linux; as root, or where users may
make namespaces.
"""

import argparse
import shlex
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools.lab import namespaces
from tools.lab.drawing import KINDS, draw_ward
from tools.lab.plan import CLASSES, MOST_SECONDS
from tools.lab.run import FailedRun, run


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python tools/lab", description=(__doc__ or "").split("\n\n", 1)[0])
    parser.add_argument("--seed", type=int, required=True, help="What devices, addresses and attacks come from.")
    parser.add_argument("--seconds", type=float, default=120, help=f"How long to capture (at most {MOST_SECONDS}).")
    parser.add_argument("--out", type=Path, required=True, help="The folder of run-SEED.pcap and run-SEED.labels.json.")
    parser.add_argument(
        "--attacks",
        default=None,
        metavar="A,B",
        help=f"Which attacks, in this order; 'none' for a quiet ward. Default: as many as fit. {', '.join(CLASSES)}",
    )
    parser.add_argument(
        "--devices",
        default=None,
        metavar="A,B",
        help=f"Which kinds of devices, beside what every ward has. Default: all. {', '.join(KINDS)}",
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help="Leave out the surroundings: other machines around the medical ones, lost segments, frames seen twice.",
    )
    parser.add_argument(
        "--beside",
        default="",
        metavar="COMMAND",
        help=f"A command that runs while the ward is captured; every frame comes to the interface {namespaces.SPAN}.",
    )
    return parser


def _methods(text: str | None) -> list[str] | None:
    return None if text is None else [] if text == "none" else text.split(",")


def main(arguments: list[str]) -> int:
    """Run the laboratory; return the exit status."""
    pipe = namespaces.pipe_of(arguments)
    options = _options().parse_args(arguments if pipe is None else arguments[2:])
    methods = _methods(options.attacks)
    kinds = None if options.devices is None else options.devices.split(",")
    try:
        ward = draw_ward(options.seed, options.seconds, methods, kinds, not options.plain)
    except ValueError as error:
        print(f"The run cannot be drawn: {error}.", file=sys.stderr)
        return 2
    if pipe is None:
        if (reason := namespaces.why_not()) is not None:
            print(reason, file=sys.stderr)
            return 1
        return namespaces.run_inside(arguments)
    try:
        namespaces.check_own_network()
        namespaces.end_with(pipe)
        beside = shlex.split(options.beside)
        for path in run(ward, methods, options.out, lambda line: print(line, file=sys.stderr, flush=True), beside):
            print(path)
    except (FailedRun, namespaces.NoNamespaces, OSError) as error:
        print(f"The run failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
