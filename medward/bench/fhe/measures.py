"""Encrypted sums beside what others offer: processor time on one thread, medians of runs in this process."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medward.bench.fhe import others
from medward.bench.fhe.computing import computing_rows, many_key_rows
from medward.bench.fhe.member_part import WEIGHTS, RoundTimes, round_times
from medward.bench.fhe.others import CostPerValue
from medward.bench.fhe.scoring import scoring_rows
from medward.bench.fhe.transforms import transform_rows
from medward.bench.rows import BenchmarkRow, Progress
from medward.errors import MedwardError
from medward.federation.model.wire import sum_set
from medward.fhe import ciphertexts
from medward.fhe.context import SumContext
from medward.fhe.encoding import residue_bytes
from medward.fhe.packing import BlockLayout
from medward.fhe.parameters import SIGMA
from medward.fhe.sampling import KeyStream, gaussian

#: Members and how many rounds are timed; so many that a cell takes some ten seconds.
CELLS = ((4, 9), (16, 7), (64, 3))
WIDTHS = (8, 16)


@dataclass(frozen=True)
class PieceTimes:
    """Seconds of what other systems do too, for `weights` values of one member.

    Args:
        weights: how many.
        encrypt: encrypt and encode them.
        add: add another member's ciphertexts.
        decrypt: decrypt and decode a sum, whose secret is known.
        size: ciphertext bytes a weight.
    """

    weights: int
    encrypt: float
    add: float
    decrypt: float
    size: float


def piece_times(members: int, bits: int, weights: int = WEIGHTS, runs: int = 7) -> PieceTimes:
    """Measure the ciphertexts of a sum by themselves, without dealing, checks and shares."""
    parameters = sum_set(bits, members)
    layout = BlockLayout(parameters, 0, weights)
    context = SumContext(parameters, b"bench", tuple(range(1, parameters.holders + 1)), layout.blocks)
    generator, stream = np.random.default_rng(1), KeyStream()
    largest = parameters.largest_value
    values = [generator.integers(-largest, largest + 1, weights) for _ in range(2)]
    nothing = np.zeros(0, np.int64)
    secrets = [gaussian(stream, SIGMA**2, parameters.degree) for _ in values]

    def encrypt(number: int) -> bytes:
        return ciphertexts.encrypt(context, secrets[number], layout.split(nothing, values[number]), stream)

    packed = [memoryview(encrypt(number)) for number in range(2)]
    total = ciphertexts.add_elements(context, packed)

    def decrypt() -> np.ndarray:
        return layout.join(ciphertexts.decrypt(context, total, secrets[0] + secrets[1]))

    if not np.array_equal(decrypt(), values[0] + values[1]):
        raise AssertionError("the sum is wrong; its time means nothing")
    one = others.seconds(lambda: ciphertexts.add_elements(context, packed[:1]), runs)
    two = others.seconds(lambda: ciphertexts.add_elements(context, packed), runs)
    return PieceTimes(
        weights,
        others.seconds(lambda: encrypt(0), runs),
        two - one,
        others.seconds(decrypt, runs),
        layout.blocks * residue_bytes(parameters.degree) / weights,
    )


def round_rows(times: RoundTimes, reference: CostPerValue | None) -> list[BenchmarkRow]:
    """Return the rows of one cell: a member's whole part, its steps, and what it sends, fetches and gets wrong."""
    label = f"{times.parameters.bits} bits, {times.members} members"
    theirs = None if reference is None else _whole(reference, times.members)
    name = None if reference is None else reference.name
    rows = [
        _rate(f"a member's whole part, {label}", times.weights / times.whole, theirs, name),
        _size(f"ciphertexts, {label}", times.ciphertexts / times.weights, reference),
        BenchmarkRow(f"sent by a member, {label}", times.sent, None, None, None, "bytes"),
        BenchmarkRow(f"fetched by a member, {label}", times.fetched, None, None, None, "bytes"),
        BenchmarkRow(
            f"largest error, {label}", times.error, None if reference is None else reference.error, name, None,
            "of a sum of values",
        ),
    ]  # fmt: skip
    one = times.steps["examine"] / times.members
    steps = (
        ("contribute (encrypt, deal, seal)", times.steps["contribute"]),
        ("respond (draw the challenge, test one's own dealing)", times.steps["respond"]),
        ("examine one dealing and one's share of it", one),
        (f"examine all {times.members}", times.steps["examine"]),
        ("answer", times.steps["answer"]),
        (f"decrypt (find the secret, add {times.members}, decode)", times.steps["decrypt"]),
    )
    return rows + [BenchmarkRow(f"{what}, {label}", spent * 1e3, None, None, None, "ms") for what, spent in steps]


def _whole(other: CostPerValue, members: int) -> float | None:
    """Return another system's weights a second for one member's part: encrypt, add the other members' and decrypt."""
    if other.add is None:
        return None
    return 1e6 / (other.encrypt + (members - 1) * other.add + other.decrypt)


def piece_rows(times: PieceTimes, label: str, other: CostPerValue) -> list[BenchmarkRow]:
    """Return the rows beside one other system."""
    rows = [_rate(f"encrypt; {label}", times.weights / times.encrypt, 1e6 / other.encrypt, other.name)]
    if other.add is not None:
        rows.append(_rate(f"add two; {label}", times.weights / times.add, 1e6 / other.add, other.name))
    rows.append(_rate(f"decrypt; {label}", times.weights / times.decrypt, 1e6 / other.decrypt, other.name))
    rows.append(_size(f"ciphertext; {label}", times.size, other))
    return rows


def sum_rows(progress: Progress) -> list[BenchmarkRow]:
    """Compare sums with what others offer."""
    rows: list[BenchmarkRow] = []
    for members, runs in CELLS:
        for bits in WIDTHS:
            progress(f"measuring {runs + 1} rounds of {members} members, {bits} bits")
            reference = others.tenseal()  # beside each cell, for a machine whose speed changes slows both
            rows += round_rows(round_times(members, bits, runs=runs), reference)
    progress("measuring what others offer")
    pieces = piece_times(16, 8)
    found = (
        others.tenseal(), others.openfhe(), others.paillier(), others.elgamal(), others.rsa_oaep(),
        others.quaternion(), others.aes_gcm(),
    )  # fmt: skip
    for other in found:
        if other is not None:
            rows += piece_rows(pieces, "8 bits, 16 members, ciphertexts alone", other)
    return rows


def _rate(what: str, ours: float, theirs: float | None, name: str | None) -> BenchmarkRow:
    ratio = None if theirs is None else ours / theirs
    return BenchmarkRow(what, ours, theirs, name, ratio, "weights/s")


def _size(what: str, ours: float, other: CostPerValue | None) -> BenchmarkRow:
    if other is None:
        return BenchmarkRow(what, ours, None, None, None, "bytes a weight")
    return BenchmarkRow(what, ours, other.size, other.name, other.size / ours, "bytes a weight")


#: What is measured, by name: what is told meanwhile, and how.
PARTS: Mapping[str, tuple[str, Callable[[Progress], list[BenchmarkRow]]]] = {
    "transforms": ("measuring transforms", lambda _: transform_rows()),
    "computing": ("measuring operations on ciphertexts", lambda _: computing_rows()),
    "many-keys": ("measuring products under 2 to 16 keys", lambda _: many_key_rows()),
    "scoring": ("scoring encrypted flows", lambda _: scoring_rows()),
    "sums": ("measuring sums", sum_rows),
}


def rows_of(parts: Sequence[str], progress: Progress) -> list[BenchmarkRow]:
    """Return the rows of these parts of the benchmark, in its own order; of all where none is named.

    Raises:
        MedwardError: there is no such part.
    """
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise MedwardError(f"there is no part {unknown[0]!r}; the parts are {', '.join(PARTS)}")
    rows: list[BenchmarkRow] = []
    for name, (told, measured) in PARTS.items():
        if not parts or name in parts:
            progress(told)
            rows += measured(progress)
    return rows
