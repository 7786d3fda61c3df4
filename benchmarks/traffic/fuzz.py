"""Mutated packets for the meter: none may make it read beyond a packet, fail, or grow.

    python benchmarks/traffic/fuzz.py [--packets 10000000] [--seed 1] [--out FILE]

Frames of tests/traffic/captures.py and of a generated ward have a few octets changed, and half of them are cut. Each
part is parsed three times between octets of different values, which must change nothing, and metered with payload
inspected, at times that jump anywhere. Told are packets, differences, windows, and what the meter counted.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from time import perf_counter

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from medward.bench.rows import machine_description  # noqa: E402
from medward.bench.traffic.generation import ward  # noqa: E402
from medward.traffic.meter import Meter, MeterSettings  # noqa: E402
from medward.traffic.packets import PacketBatch  # noqa: E402
from medward.traffic.parsing import parse  # noqa: E402
from tests.traffic.captures import odd_frames  # noqa: E402

PART = 20_000
BETWEEN = 64


def mutate(rng: np.random.Generator, frames: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Return a part of frames, uint8 [PART, longest], up to five octets of each changed, and their lengths."""
    longest = max(map(len, frames))
    every = np.zeros((len(frames), longest), np.uint8)
    for row, frame in zip(every, frames, strict=True):
        row[: len(frame)] = np.frombuffer(frame, np.uint8)
    which = rng.integers(len(frames), size=PART)
    lengths = np.array([len(frame) for frame in frames])[which]
    mutated = every[which]
    for _ in range(5):
        # Headers are where a change matters most.
        reach = np.where(rng.random(PART) < 0.7, np.minimum(lengths, 70), lengths)
        place = (rng.random(PART) * reach).astype(np.int64)
        rows = np.flatnonzero(rng.random(PART) < 0.6)
        mutated[rows, place[rows]] = rng.integers(0, 256, len(rows))
    cut = rng.random(PART)
    return mutated, np.where(cut < 0.5, (2 * cut * lengths).astype(np.int64), lengths)


def between(mutated: np.ndarray, lengths: np.ndarray, times: np.ndarray, filler: int) -> PacketBatch:
    """Lay frames beside each other with octets of one value between them and behind each."""
    octets = np.full((len(mutated), mutated.shape[1] + BETWEEN), filler, np.uint8)
    inside = np.arange(mutated.shape[1]) < lengths[:, None]
    octets[:, : mutated.shape[1]][inside] = mutated[inside]
    offset = np.arange(len(mutated), dtype=np.int64) * octets.shape[1]
    return PacketBatch(octets.reshape(-1), offset, lengths, lengths, times, np.ones(len(mutated), np.int32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packets", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    frames = odd_frames() + [frame for _, frame in ward(400)]
    meter = Meter(MeterSettings(flows=1 << 12, devices=1 << 8, addresses=1 << 8, segments=1 << 8))
    began, packets, differ, windows = perf_counter(), 0, 0, 0
    while packets < asked.packets:
        mutated, lengths = mutate(rng, frames)
        times = 1_800_000_000 * 10**9 + rng.integers(0, 10**12, PART)
        odd = rng.random(PART) < 0.01
        times[odd] = rng.integers(-(2**62), 2**62, odd.sum())
        batches = [between(mutated, lengths, times, filler) for filler in (0x00, 0x45, 0xFF)]
        first, *others = (parse(batch) for batch in batches)
        differ += sum(first.tobytes() != other.tobytes() for other in others)
        windows += sum(len(table) for table in meter.step(batches[0]))
        packets += PART
        if sys.stderr.isatty():
            print(f"\r{packets} packets", end="", file=sys.stderr)
    document = {
        "machine": machine_description(),
        "packets": packets,
        "parts_that_differ": differ,
        "windows": windows,
        "seconds": round(perf_counter() - began, 1),
        "counters": asdict(meter.counters),
    }
    text = json.dumps(document, indent=2)
    print(text)
    if asked.out is not None:
        asked.out.write_text(text + "\n")
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
