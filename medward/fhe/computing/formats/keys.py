"""Public and evaluation keys as bytes.

    public key        header | owner | label | b_0
    evaluation key    header | owner | label | seed (32) | gadget, 0 or 1 (1) | automorphisms (4), each: power (4)
                      | b | d_0 | d_2 | k of the square | k of each automorphism | with a gadget: b^ | d^ | v^

An owner is a length (1) and a name, a label a length (2) and bytes; powers rise. All that is uniform follows from the
label and the seed. An owner's name ends with the fingerprint of b_0, which both keys hold (spec/computing.md,
section 10).
"""

import numpy as np

from medward.fhe.arrays import Doubles
from medward.fhe.computing.formats.fields import (
    HEADER_BYTES,
    MOST_LABEL,
    MOST_NAME,
    SEED_BYTES,
    FieldReader,
    FormatKind,
    header,
    label_field,
    number,
    owner_field,
    packed,
)
from medward.fhe.computing.formats.residue_rows import rows_bytes
from medward.fhe.computing.keys import (
    EvaluationKey,
    GadgetKey,
    PublicElements,
    PublicKey,
    SwitchingKey,
    belongs_to,
    fingerprint_of,
)
from medward.fhe.computing.parameters import ComputingParameters


def write_public_key(key: PublicKey) -> bytes:
    """Return the bytes of a public key.

    Raises:
        MalformedEncoding: its owner's name or its label is none.
    """
    primes = key.parameters.primes[: key.parameters.top]
    named = header(FormatKind.PUBLIC_KEY, key.parameters) + owner_field(key.owner) + label_field(key.label)
    return named + packed(key.b, primes)


def read_public_key(parameters: ComputingParameters, data: bytes | memoryview) -> PublicKey:
    """Return the public key that `write_public_key` made bytes of.

    Args:
        parameters: the set that all who compute together have.
        data: the bytes.

    Raises:
        MalformedEncoding: the bytes are no public key with these parameters, or not the one that its owner's name says.
    """
    reader = FieldReader(FormatKind.PUBLIC_KEY, parameters, data)
    owner, label = reader.owner(), reader.label()
    primes = parameters.primes[: parameters.top]
    reader.expect(1, primes)
    b = reader.rows(primes)
    _check_fingerprint(reader, owner, fingerprint_of(parameters, label, b))
    return PublicKey(owner, parameters, label, b)


def write_evaluation_key(key: EvaluationKey) -> bytes:
    """Return the bytes of an evaluation key.

    Raises:
        MalformedEncoding: its owner's name or its label is none.
    """
    powers = sorted(key.automorphisms)
    out = [
        header(FormatKind.EVALUATION_KEY, key.parameters) + owner_field(key.owner) + label_field(key.label) + key.seed,
        number(int(key.gadget is not None), 1) + number(len(powers), 4),
        *(number(power, 4) for power in powers),
    ]
    parts = [key.b, key.d0, key.d2, key.square.k, *(key.automorphisms[power].k for power in powers)]
    if key.gadget is not None:
        parts += [key.gadget.b, key.gadget.d, key.gadget.v]
    return b"".join([*out, *(packed(part, key.parameters.primes) for part in parts)])


def read_evaluation_key(parameters: ComputingParameters, data: bytes | memoryview) -> EvaluationKey:
    """Return the evaluation key that `write_evaluation_key` made bytes of.

    Args:
        parameters: the set that all who compute together have.
        data: the bytes.

    Raises:
        MalformedEncoding: the bytes are no evaluation key with these parameters, or not of the public key that its
            owner's name says.
    """
    reader = FieldReader(FormatKind.EVALUATION_KEY, parameters, data)
    owner, label, seed = reader.owner(), reader.label(), reader.take(SEED_BYTES)
    gadget = reader.number(1, "gadget", 0, min(1, parameters.gadget_digit))
    count = reader.number(4, "automorphisms", 0, parameters.degree)
    powers = [reader.number(4, "power", 1, 2 * parameters.degree - 1) for _ in range(count)]
    if powers != sorted(set(powers)) or not all(power % 2 for power in powers):
        raise reader.wrong("with powers of automorphisms that are not odd and rising")
    digits = len(parameters.digits(parameters.levels))
    gadget_digits = len(parameters.digits(parameters.levels, parameters.gadget_digit)) if gadget else 0
    reader.expect((4 + len(powers)) * digits + 3 * gadget_digits, parameters.primes)

    def element(count: int = digits) -> Doubles:
        return np.stack([reader.rows(parameters.primes) for _ in range(count)])

    b = element()
    _check_fingerprint(reader, owner, fingerprint_of(parameters, label, b[0]))
    public = PublicElements(owner, parameters, seed)
    d0, d2 = element(), element()
    square = SwitchingKey(element(), public.expand("square"))
    moved = {power: SwitchingKey(element(), public.expand("automorphism", power)) for power in powers}
    many = GadgetKey(*(element(gadget_digits) for _ in range(3))) if gadget else None
    return EvaluationKey(owner, parameters, label, seed, square, b, d0, public.expand("d1"), d2, moved, many)


def most_evaluation_key_bytes(parameters: ComputingParameters, automorphisms: int) -> int:
    """Return the size that no evaluation key without a gadget and with so many automorphisms exceeds."""
    elements = (4 + automorphisms) * len(parameters.digits(parameters.levels))
    named = HEADER_BYTES + 1 + MOST_NAME + 2 + MOST_LABEL + SEED_BYTES + 5 + 4 * automorphisms
    return named + elements * rows_bytes(parameters.degree, parameters.primes)


def _check_fingerprint(reader: FieldReader, owner: str, fingerprint: str) -> None:
    if not belongs_to(owner, fingerprint):
        raise reader.wrong(f"that is not the one of {owner}: its fingerprint is {fingerprint[:16]}")
