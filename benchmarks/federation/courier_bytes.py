"""What an encrypted sum costs on the wire: the table of spec/courier.md, from medward/federation/model/wire.py alone.

Run: python benchmarks/federation/courier_bytes.py   (prints Markdown)

MB of one training sum, all members together, with the parts of it that do not depend on what is summed.
"""

import argparse

from medward.federation.model.courier import COUNTS
from medward.federation.model.wire import parts, record_bytes, sum_bytes, sum_set
from medward.fhe.parameters import UPDATE_BITS

MEMBERS = (4, 7, 10, 16)
#: About as many as the recipes have on the data sets of docs/results.md, and larger networks.
WEIGHTS = (24_000, 60_000, 120_000)


def fixed(members: int) -> int:
    """Return the bytes of a sum of no ciphertexts: dealings with their check blocks, responses, answers and records."""
    parameters = sum_set(16, members)
    least = parts(parameters, 0, parameters.values_per_block)
    block = parts(parameters, 0, 2 * parameters.values_per_block).contribution - least.contribution
    sent = least.contribution - block + least.response + least.answer
    return members * (members - 1) * sent + record_bytes(members)


def values_table() -> None:
    """Print K, how many values one ciphertext carries."""
    print(f"| members | {' | '.join(f'{bits} bits' for bits in UPDATE_BITS)} |")
    print("|---" * (1 + len(UPDATE_BITS)) + "|")
    for members in MEMBERS:
        cells = [f"{sum_set(bits, members).values_per_block:,}" for bits in UPDATE_BITS]
        print(f"| {members} | {' | '.join(cells)} |")
    print()


def bytes_table() -> None:
    """Print the MB of a sum."""
    widths = ", ".join(map(str, UPDATE_BITS))
    heads = [f"{weights:,} weights at {widths} bits" for weights in WEIGHTS]
    print(f"| members | without ciphertexts | of it records | {' | '.join(heads)} |")
    print("|---" * (3 + len(WEIGHTS)) + "|")
    for members in MEMBERS:
        cells = [_megabytes(fixed(members)), _megabytes(record_bytes(members))]
        for weights in WEIGHTS:
            sums = [sum_bytes(bits, members, COUNTS, weights) for bits in UPDATE_BITS]
            cells.append(", ".join(map(_megabytes, sums)))
        print(f"| {members} | {' | '.join(cells)} |")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    values_table()
    bytes_table()
