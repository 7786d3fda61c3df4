"""Encrypted sums beside what others offer: processor time on one thread, medians of runs in this process."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from medward.cli.bench import _fhe_others as others
from medward.cli.bench._fhe_others import Measured
from medward.cli.bench._fhe_transforms import transform_rows
from medward.fhe import proofs
from medward.fhe.decryption import combine, decryption_share
from medward.fhe.encoding import Kind, encode_ciphertext, encode_elements
from medward.fhe.encryption import encrypt, sum_ciphertexts
from medward.fhe.keys import generate_key, joint_key, reference_string
from medward.fhe.parameters import Members, SumParameters, capacity, sum_parameters
from medward.report.benchmark import BenchmarkRow

Progress = Callable[[str], None]
_KINDS: tuple[Members, Members] = ("semi-honest", "malicious")
#: (set, bits, members): every member contributes and holds a key.
_CELLS = (
    *(("AGG-M", bits, count) for bits in (8, 16) for count in (16, 64)),
    *(("AGG-L", bits, count) for bits in (8, 16) for count in (16, 64)),
)


@dataclass(frozen=True)
class SumTimes:
    """Seconds of each step for one member of `count`, one block; bytes that it sends for the block."""

    parameters: SumParameters
    count: int
    encrypt: float
    prove_ciphertext: float
    verify_ciphertext: float
    add: float
    share: float
    prove_share: float
    verify_share: float
    combine: float
    bytes_sent: int
    ciphertext_bytes: int
    ciphertext_proof_bytes: int

    @property
    def values(self) -> int:
        """Values in a block."""
        return self.parameters.values_per_ciphertext

    @property
    def bare(self) -> float:
        """Encrypt, add, share, combine and decode."""
        return self.encrypt + self.add + self.share + self.combine

    @property
    def encrypt_proved(self) -> float:
        """Encrypt a block and prove its ciphertext."""
        return self.encrypt + self.prove_ciphertext

    @property
    def add_proved(self) -> float:
        """Verify the others' ciphertexts and add."""
        return self.add + (self.count - 1) * self.verify_ciphertext

    @property
    def decrypt(self) -> float:
        """Give a share, combine all and decode."""
        return self.share + self.combine

    @property
    def decrypt_proved(self) -> float:
        """The same with its own share proved and the others' verified."""
        return self.decrypt + self.prove_share + (self.count - 1) * self.verify_share

    @property
    def proved(self) -> float:
        """Encrypt, add and decrypt with own proofs made and the others' verified."""
        return self.encrypt_proved + self.add_proved + self.decrypt_proved


def sum_times(name: str, bits: int, members: Members, count: int = 16, runs: int = 7) -> SumTimes:
    """Measure one member's work in a sum of `count` members who all hold keys."""
    p = sum_parameters(name, bits, capacity(count), count, members)
    a = reference_string(p, b"benchmark", 1)
    pairs = [generate_key(p, a) for _ in range(count)]
    key = joint_key(p, [b for _, b in pairs])
    generator = np.random.default_rng(1)
    values = [generator.integers(p.smallest_value, p.largest_value + 1, (p.lanes, p.degree)) for _ in range(count)]
    made = [encrypt(p, a, key, v) for v in values]
    total = sum_ciphertexts(p, [c for c, _ in made])
    shares = [decryption_share(p, s, total.c1) for s, _ in pairs]
    decoded = combine(p, total, [s for s, _ in shares])
    if not np.array_equal(decoded, sum(values)):
        raise AssertionError("the sum is wrong; its time means nothing")
    (secret, b), (ciphertext, witness), (share, flood) = pairs[0], made[0], shares[0]

    def timed(action: Callable[[], object], repeat: int = runs) -> float:
        return others.seconds(action, repeat)

    encoding = encode_ciphertext(p, ciphertext)
    digest = hashlib.sha256(encoding).digest()  # known from checking the commitment
    share_encoding = encode_elements(p, Kind.DECRYPTION_SHARE, share)
    proof = b""
    proved = {"prove_ciphertext": 0.0, "verify_ciphertext": 0.0, "prove_share": 0.0, "verify_share": 0.0}
    sent = len(encoding) + len(share_encoding)
    if p.malicious:
        context = proofs.Context(b"benchmark", 1, 1, 0, 1)

        def claim() -> proofs.ShareStatement:
            """Hash the share, as every verifier must; key and aggregate are hashed once a round."""
            public = (bytes(32), bytes(32), hashlib.sha256(share_encoding).digest())
            return proofs.ShareStatement(a, b, total.c1, share, public)

        def prove() -> bytes:
            return proofs.prove_ciphertext(p, context, a, ciphertext.c1, digest=digest, witness=witness)

        def prove_share() -> bytes:
            return proofs.prove_share(p, context, claim(), secret=secret, flood=flood)

        proof, share_proof = prove(), prove_share()
        proved = {
            "prove_ciphertext": _mean(prove, 5 * runs),
            "verify_ciphertext": timed(
                lambda: proofs.verify_ciphertext(p, context, a, ciphertext.c1, digest=digest, proof=proof)
            ),
            "prove_share": _mean(prove_share, 5 * runs),
            "verify_share": timed(lambda: proofs.verify_share(p, context, claim(), share_proof)),
        }
        sent += len(proof) + len(share_proof)
    return SumTimes(
        parameters=p,
        count=count,
        encrypt=timed(lambda: encrypt(p, a, key, values[0])),
        add=timed(lambda: sum_ciphertexts(p, [c for c, _ in made])),
        share=timed(lambda: decryption_share(p, secret, total.c1)),
        combine=timed(lambda: combine(p, total, [s for s, _ in shares])),
        bytes_sent=sent,
        ciphertext_bytes=len(encoding),
        ciphertext_proof_bytes=len(proof),
        **proved,
    )


def _mean(action: Callable[[], object], runs: int) -> float:
    """Return mean processor time; a prover starts over at random, so its mean is what counts."""
    start = time.process_time()
    for _ in range(runs):
        action()
    return (time.process_time() - start) / runs


def sum_rows(progress: Progress) -> list[BenchmarkRow]:
    """Compare sums with what others offer."""
    progress("measuring what others offer")
    reference = others.tenseal()
    rows: list[BenchmarkRow] = []
    for name, bits, count in _CELLS:
        for members in _KINDS:
            progress(f"measuring {name}, {bits} bits, {count} {members} members")
            rows += rows_of(sum_times(name, bits, members, count), reference)
    found = (
        others.openfhe(), others.paillier(), others.elgamal(), others.rsa_oaep(), others.quaternion(), others.aes_gcm()
    )  # fmt: skip
    for other in found:
        if other is not None:
            rows += _rows_beside(sum_times("AGG-M", 8, "semi-honest", runs=3), other)
    return rows


def rows_of(times: SumTimes, reference: Measured | None) -> list[BenchmarkRow]:
    """Return the rows of one cell: everything without proofs and, where there are proofs, once more with them."""
    p = times.parameters
    label = f"{p.name}, {p.update_bits} bits, {times.count} {p.members} members"
    own = _Reference(reference, times.count)
    steps: list[tuple[str, str, float, float, float | None]] = [
        ("encrypt, add, share, combine, decode", "own proofs made, the others' verified",
         times.bare, times.proved, own.whole),
        ("encrypt", "proved", times.encrypt, times.encrypt_proved, own.encrypt),
        (f"add {times.count}", "the others' proofs verified", times.add, times.add_proved, own.add),
        ("decrypt (share, combine, decode)", "own share proved, the others' verified",
         times.decrypt, times.decrypt_proved, own.decrypt),
    ]  # fmt: skip
    rows = []
    for what, proofs_too, bare, proved, theirs in steps:
        rows.append(_rate(f"{what}; {label}, without proofs", times.values / bare, theirs, reference))
        if p.malicious:
            rows.append(_rate(f"{what}, {proofs_too}; {label}", times.values / proved, theirs, reference))
    size, everything = times.ciphertext_bytes / times.values, times.bytes_sent / times.values
    rows.append(_size(f"ciphertext; {label}, without proofs", size, reference))
    if p.malicious:
        proved_size = size + times.ciphertext_proof_bytes / times.values
        rows.append(_size(f"ciphertext and its proof; {label}", proved_size, reference))
    rows.append(_size(f"all that a member sends; {label}", everything, reference))
    rows.append(BenchmarkRow(f"all that a member sends; {label}", times.bytes_sent, None, None, None, "bytes a block"))
    error = reference.error if reference else None
    name = reference.name if reference else None
    rows.append(BenchmarkRow(f"largest error; {label}", 0.0, error, name, None, "of a sum of values"))
    if p.malicious:
        for what, spent in (
            ("prove a ciphertext", times.prove_ciphertext), ("verify a ciphertext", times.verify_ciphertext),
            ("prove a share", times.prove_share), ("verify a share", times.verify_share),
        ):  # fmt: skip
            rows.append(BenchmarkRow(f"{what}; {label}", spent * 1e3, None, None, None, "ms"))
    return rows


@dataclass(frozen=True)
class _Reference:
    """Another system's weights a second for one member's part in a sum of `count` (None where it is not installed)."""

    measured: Measured | None
    count: int

    @property
    def encrypt(self) -> float | None:
        return None if self.measured is None else 1e6 / self.measured.encrypt

    @property
    def decrypt(self) -> float | None:
        return None if self.measured is None else 1e6 / self.measured.decrypt

    @property
    def add(self) -> float | None:
        adding = self._adding
        return None if adding is None else 1e6 / adding

    @property
    def whole(self) -> float | None:
        adding = self._adding
        if self.measured is None or adding is None:
            return None
        return 1e6 / (self.measured.encrypt + adding + self.measured.decrypt)

    @property
    def _adding(self) -> float | None:
        if self.measured is None or self.measured.add is None:
            return None
        return (self.count - 1) * self.measured.add


def _rows_beside(times: SumTimes, other: Measured) -> list[BenchmarkRow]:
    label = "AGG-M, 8 bits, without proofs"
    rows = [_rate(f"encrypt; {label}", times.values / times.encrypt, 1e6 / other.encrypt, other)]
    if other.add is not None:
        two = times.values / (times.add / (times.count - 1))
        rows.append(_rate(f"add two; {label}", two, 1e6 / other.add, other))
    rows.append(_rate(f"decrypt; {label}", times.values / times.decrypt, 1e6 / other.decrypt, other))
    rows.append(_size(f"ciphertext; {label}", times.ciphertext_bytes / times.values, other))
    return rows


def _rate(what: str, ours: float, theirs: float | None, other: Measured | None) -> BenchmarkRow:
    ratio = None if theirs is None else ours / theirs
    return BenchmarkRow(what, ours, theirs, other.name if other else None, ratio, "weights/s")


def _size(what: str, ours: float, other: Measured | None) -> BenchmarkRow:
    if other is None:
        return BenchmarkRow(what, ours, None, None, None, "bytes a weight")
    return BenchmarkRow(what, ours, other.size, other.name, other.size / ours, "bytes a weight")


def all_rows(progress: Progress) -> list[BenchmarkRow]:
    """Return every row of the benchmark."""
    progress("measuring transforms")
    return transform_rows() + sum_rows(progress)
