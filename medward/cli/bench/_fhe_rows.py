"""The figures of `medward bench fhe`: processor time on one thread, medians of alternating runs in this process."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np

from medward.cli.bench import _fhe_others as others
from medward.cli.bench._fhe_others import Measured, installed
from medward.fhe import proofs
from medward.fhe.decryption import combine, decryption_share
from medward.fhe.encoding import Kind, encode_ciphertext, encode_elements
from medward.fhe.encryption import encrypt, sum_ciphertexts
from medward.fhe.keys import generate_key, joint_key, reference_string
from medward.fhe.parameters import Members, SumParameters, sum_parameters
from medward.fhe.ring import Ring
from medward.fhe.sampling import KeyStream, uniform_element
from medward.report.benchmark import BenchmarkRow

Progress = Callable[[str], None]
_MEMBERS = 16
_KINDS: tuple[Members, Members] = ("semi-honest", "malicious")


def alternating(ours: Callable[[], object], theirs: Callable[[], object], runs: int = 7) -> tuple[float, float]:
    """Return the median seconds of both, run by turns so that both see the same machine."""
    ours(), theirs()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(runs):
        for action, collected in zip((ours, theirs), times, strict=True):
            start = time.process_time()
            action()
            collected.append(time.process_time() - start)
    return float(np.median(times[0])), float(np.median(times[1]))


def transform_rows(repeat: int = 100) -> list[BenchmarkRow]:
    """Compare transforms and products with SEAL's, per limb, through seal-python.

    Ours end two layers before SEAL's, at slots of degree four; what that saves comes back in the products.
    """
    seal = installed("seal")
    rows = []
    limbs = 4
    for degree in (8192, 16384, 32768):
        ring = Ring(degree, limbs)
        element = uniform_element(KeyStream(), ring)
        rounds = max(4, repeat * 8192 * 4 // (degree * limbs))
        other_element = ring.forward(element.copy())
        ours = (
            *_Toggle(ring.forward, ring.inverse, element, rounds, limbs).pair(),
            _repeated(partial(ring.multiply_add, element, other_element, element), rounds, limbs),
        )
        theirs = _seal_actions(seal, degree, limbs, rounds) if seal else (None, None, None)
        names = ("forward transform", "inverse transform", "product of transforms")
        for what, mine, other in zip(names, ours, theirs, strict=True):
            if other is None:
                our_time, their_time = alternating(mine, lambda: None)[0], None
            else:
                our_time, their_time = _timed_by_turns(mine, other)
            rows.append(
                BenchmarkRow(
                    f"{what}, one 50-bit limb, N = {degree}",
                    our_time * 1e6,
                    None if their_time is None else their_time * 1e6,
                    f"SEAL (seal-python {version('seal-python')})" if seal else None,
                    None if their_time is None else their_time / our_time,
                    "us",
                )
            )
    return rows


class _Toggle:
    """Times forward and inverse transforms of one object in turn, each direction on its own clock."""

    def __init__(
        self, forward: Callable[[Any], object], inverse: Callable[[Any], object], target: Any, rounds: int, limbs: int
    ) -> None:
        self._forward, self._inverse, self._target = forward, inverse, target
        self._rounds, self._limbs = rounds, limbs

    def pair(self) -> tuple[Callable[[], float], Callable[[], float]]:
        """Return two actions that run both directions and return the seconds per limb of one of them."""
        return lambda: self._run()[0], lambda: self._run()[1]

    def _run(self) -> tuple[float, float]:
        spent = [0.0, 0.0]
        for _ in range(self._rounds):
            for k, direction in enumerate((self._forward, self._inverse)):
                start = time.thread_time()
                direction(self._target)
                spent[k] += time.thread_time() - start
        return spent[0] / self._rounds / self._limbs, spent[1] / self._rounds / self._limbs


def _timed_by_turns(mine: Callable[[], float], other: Callable[[], float], runs: int = 7) -> tuple[float, float]:
    mine(), other()
    pairs = [(mine(), other()) for _ in range(runs)]
    return float(np.median([p[0] for p in pairs])), float(np.median([p[1] for p in pairs]))


def _repeated(action: Callable[[], object], rounds: int, limbs: int) -> Callable[[], float]:
    """Return an action that repeats another and returns its seconds per limb."""

    def run() -> float:
        start = time.thread_time()
        for _ in range(rounds):
            action()
        return (time.thread_time() - start) / rounds / limbs

    return run


def _seal_actions(
    seal: Any, degree: int, limbs: int, rounds: int
) -> tuple[Callable[[], float], Callable[[], float], Callable[[], float]]:
    """Return SEAL's forward and inverse transform and its product of transforms (ciphertext by plaintext)."""
    parameters = seal.EncryptionParameters(seal.scheme_type.bfv)
    parameters.set_poly_modulus_degree(degree)
    parameters.set_coeff_modulus(seal.CoeffModulus.Create(degree, [50] * limbs))
    parameters.set_plain_modulus(seal.PlainModulus.Batching(degree, 20))
    context = seal.SEALContext(parameters)
    encryptor = seal.Encryptor(context, seal.KeyGenerator(context).create_public_key())
    plaintext = seal.BatchEncoder(context).encode([1] * degree)
    ciphertext = encryptor.encrypt(plaintext)
    evaluator = seal.Evaluator(context)
    per_object = ciphertext.size() * ciphertext.coeff_modulus_size()
    factor = encryptor.encrypt(plaintext)
    evaluator.transform_to_ntt_inplace(factor)
    evaluator.transform_to_ntt_inplace(plaintext, factor.parms_id())
    return (
        *_Toggle(
            evaluator.transform_to_ntt_inplace, evaluator.transform_from_ntt_inplace, ciphertext, rounds, per_object
        ).pair(),
        _repeated(lambda: evaluator.multiply_plain_inplace(factor, plaintext), rounds, per_object),
    )


@dataclass(frozen=True)
class SumTimes:
    """Seconds of each step for one member of 16, one block; bytes that it sends for the block."""

    parameters: SumParameters
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

    @property
    def values(self) -> int:
        """Values in a block."""
        return self.parameters.values_per_ciphertext

    @property
    def bare(self) -> float:
        """Encrypt, add, share, combine and decode."""
        return self.encrypt + self.add + self.share + self.combine

    @property
    def proved(self) -> float:
        """The same with both proofs made and those of the 15 others verified."""
        checks = (_MEMBERS - 1) * (self.verify_ciphertext + self.verify_share)
        return self.bare + self.prove_ciphertext + self.prove_share + checks


def sum_times(name: str, bits: int, members: Members, runs: int = 7) -> SumTimes:
    """Measure one member's work in a sum of 16 members who all hold keys."""
    p = sum_parameters(name, bits, _MEMBERS, _MEMBERS, members)
    a = reference_string(p, b"benchmark", 1)
    pairs = [generate_key(p, a) for _ in range(_MEMBERS)]
    key = joint_key(p, [b for _, b in pairs])
    generator = np.random.default_rng(1)
    values = [generator.integers(p.smallest_value, p.largest_value + 1, (p.lanes, p.degree)) for _ in range(_MEMBERS)]
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
        sent += proofs.proof_bytes(p, Kind.CIPHERTEXT_PROOF) + proofs.proof_bytes(p, Kind.SHARE_PROOF)
    return SumTimes(
        parameters=p,
        encrypt=timed(lambda: encrypt(p, a, key, values[0])),
        add=timed(lambda: sum_ciphertexts(p, [c for c, _ in made])),
        share=timed(lambda: decryption_share(p, secret, total.c1)),
        combine=timed(lambda: combine(p, total, [s for s, _ in shares])),
        bytes_sent=sent,
        ciphertext_bytes=len(encoding),
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
    for name in ("AGG-M", "AGG-L"):
        for members in _KINDS:
            progress(f"measuring {name}, {members} members")
            times = sum_times(name, 8, members)
            rows += _rows_of(times, reference)
    for other in (
        others.openfhe(),
        others.paillier(),
        others.elgamal(),
        others.rsa_oaep(),
        others.quaternion(),
        others.aes_gcm(),
    ):
        if other is not None:
            rows += _rows_beside(sum_times("AGG-M", 8, "semi-honest", 3), other)
    return rows


def _rows_of(times: SumTimes, reference: Measured | None) -> list[BenchmarkRow]:
    p = times.parameters
    label = f"{p.name}, 8 bits, 16 {p.members} members"
    scale = 1e6 / times.values
    encrypt_time = reference.encrypt if reference else None
    add_time = 15 * (reference.add or 0.0) if reference else None
    decrypt_time = reference.decrypt if reference else None
    size = reference.size if reference else None
    whole = None if reference is None else reference.encrypt + 15 * (reference.add or 0.0) + reference.decrypt
    lines: list[tuple[str, float, float | None, str]] = [
        ("encrypt, add, share, combine, decode, without proofs", times.bare * scale, whole, "us a weight"),
    ]
    if p.malicious:
        lines.append(("the same with proofs made and verified", times.proved * scale, whole, "us a weight"))
    lines += [
        ("encrypt", times.encrypt * scale, encrypt_time, "us a weight"),
        ("add 16", times.add * scale, add_time, "us a weight"),
        ("decrypt (share, combine)", (times.share + times.combine) * scale, decrypt_time, "us a weight"),
        ("ciphertext", times.ciphertext_bytes / times.values, size, "bytes a weight"),
        ("all that a member sends", times.bytes_sent / times.values, size, "bytes a weight"),
        ("largest error", 0.0, reference.error if reference else None, "of a sum of values"),
    ]
    rows = [_row(f"{what}; {label}", ours, theirs, reference, unit) for what, ours, theirs, unit in lines]
    if p.malicious:
        for what, spent in (
            ("prove a ciphertext", times.prove_ciphertext), ("verify a ciphertext", times.verify_ciphertext),
            ("prove a share", times.prove_share), ("verify a share", times.verify_share),
        ):  # fmt: skip
            rows.append(BenchmarkRow(f"{what}; {label}", spent * 1e3, None, None, None, "ms"))
    return rows


def _rows_beside(times: SumTimes, other: Measured) -> list[BenchmarkRow]:
    scale = 1e6 / times.values
    decrypt = (times.share + times.combine) * scale
    rows = [
        _row("encrypt; AGG-M, 8 bits", times.encrypt * scale, other.encrypt, other, "us a weight"),
        _row("decrypt (share, combine); AGG-M, 8 bits", decrypt, other.decrypt, other, "us a weight"),
        _row("ciphertext; AGG-M, 8 bits", times.ciphertext_bytes / times.values, other.size, other, "bytes a weight"),
    ]
    if other.add is not None:
        rows.insert(1, _row("add two; AGG-M, 8 bits", times.add / 15 * scale, other.add, other, "us a weight"))
    return rows


def _row(what: str, ours: float, theirs: float | None, other: Measured | None, unit: str) -> BenchmarkRow:
    ratio = theirs / ours if theirs is not None and ours > 0 else None
    return BenchmarkRow(what, ours, theirs, other.name if other else None, ratio, unit)


def all_rows(progress: Progress) -> list[BenchmarkRow]:
    """Return every row of the benchmark."""
    progress("measuring transforms")
    return transform_rows() + sum_rows(progress)
