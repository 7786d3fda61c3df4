"""Meters a capture and prints packets, CPU seconds and peak MiB. Run by the benchmark as a process of its own.

What is compiled is loaded before the clock starts: a meter runs for months.
"""

import json
import re
import sys
import time
from pathlib import Path

from medward.traffic.meter import Meter, MeterSettings, compile_meter, meter_windows
from medward.traffic.sources.capture import read_capture


def _peak() -> float:
    """Return the MiB that this program had resident at its peak; `getrusage` tells its parent's where that had more."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024


def main() -> None:
    """Measure `CAPTURE FLOWS INSPECT`: places for flows, and 1 where payload is looked into, else 0."""
    capture, flows, inspect = sys.argv[1:]
    compile_meter()
    meter = Meter(MeterSettings(flows=int(flows), inspect=inspect == "1"))
    began = time.process_time()
    for _ in meter_windows(read_capture(capture), meter):
        pass
    seconds = time.process_time() - began
    peak = _peak()
    counters = meter.counters
    print(json.dumps({"packets": counters.packets, "seconds": seconds, "mebibytes": peak, "flows": counters.flows}))


if __name__ == "__main__":
    main()
