"""`python -m medward.node HOME`: what the launcher starts, without the command line around it."""

import argparse
import sys
from pathlib import Path

from medward.errors import MedwardError
from medward.node.process import end, run_node


def main() -> int:
    """Run the node in the folder that is given; return the exit code."""
    parser = argparse.ArgumentParser(prog="medward.node", description="Run one node from its home.")
    parser.add_argument("home", type=Path)
    parser.add_argument("--until-stdin-closes", action="store_true", help="stop when standard input closes")
    given = parser.parse_args()
    try:
        return run_node(given.home, until_stdin_closes=given.until_stdin_closes)
    except MedwardError as error:
        print(f"medward: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    end(main())
