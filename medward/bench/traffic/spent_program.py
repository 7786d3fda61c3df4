"""Runs a command and prints its CPU seconds and peak MiB. Run by the benchmark as a process of its own.

The kernel counts to a child's peak what its parent had resident when it forked, so a small process has to fork.
"""

import json
import os
import subprocess
import sys


def main() -> None:
    """Run the words that it is given; end as the command ends."""
    process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    print(json.dumps({"seconds": usage.ru_utime + usage.ru_stime, "mebibytes": usage.ru_maxrss / 1024}))
    sys.exit(min(abs(process.returncode), 255))


if __name__ == "__main__":
    main()
