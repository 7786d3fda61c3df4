"""A ciphertext as bytes.

    header | level (1) | form (1) | owners (1), each: length (1), name | B (8)
    form 1, encrypted by its owner:     | seed of c_1 (32) | c_0
    form 2, encrypted for its owner:    | c_0 | c_1
    form 0, any other:                  | nu (8) | kappa (8) | c_0 | c_1 | ... | c_k

Owners stand in alphabetical order. What is encrypted has the bounds that follow from B; what is computed has no smaller
noise than that (spec/computing.md, section 10).
"""

import hashlib

import numpy as np

from medward.fhe.computing.ciphertexts import Ciphertext, expanded_c1
from medward.fhe.computing.context import computing_context
from medward.fhe.computing.formats.fields import (
    HEADER_BYTES,
    MOST_NAME,
    MOST_OWNERS,
    SEED_BYTES,
    FieldReader,
    FormatKind,
    double,
    header,
    number,
    owner_field,
    packed,
)
from medward.fhe.computing.formats.residue_rows import rows_bytes
from medward.fhe.computing.noise import ErrorBound
from medward.fhe.computing.parameters import ComputingParameters
from medward.fhe.errors import MalformedEncoding, NoiseTooLarge

_COMPUTED, _BY_OWNER, _FOR_OWNER = 0, 1, 2


def write_ciphertext(ciphertext: Ciphertext) -> bytes:
    """Return the bytes of a ciphertext; one that its owner has just encrypted takes half the room.

    Raises:
        MalformedEncoding: it has more owners than a ciphertext may, or owners whose names are none.
    """
    parameters, bound = ciphertext.parameters, ciphertext.bound
    if not 1 <= len(ciphertext.owners) <= MOST_OWNERS:
        raise MalformedEncoding(f"ciphertext of {len(ciphertext.owners)} owners: it has 1 to {MOST_OWNERS}")
    form = _form(ciphertext)
    out = [
        header(FormatKind.CIPHERTEXT, parameters),
        number(ciphertext.level, 1) + number(form, 1) + number(len(ciphertext.owners), 1),
        *map(owner_field, ciphertext.owners),
        double(bound.size),
    ]
    primes = parameters.primes[: parameters.limbs(ciphertext.level)]
    if ciphertext.seed is not None:
        return b"".join([*out, ciphertext.seed, packed(ciphertext.parts[0], primes)])
    if form == _COMPUTED:
        out += [double(bound.noise), double(bound.coding)]
    return b"".join([*out, packed(ciphertext.parts, primes)])


def _form(ciphertext: Ciphertext) -> int:
    """Return the form that a ciphertext is written in: without bounds on errors, where they are those of encryption."""
    noise, bound, level = computing_context(ciphertext.parameters).noise, ciphertext.bound, ciphertext.level
    if ciphertext.seed is not None:
        return _BY_OWNER
    if len(ciphertext.owners) == 1 and bound == noise.fresh_public(bound.size, level):
        return _FOR_OWNER
    return _COMPUTED


def read_ciphertext(
    parameters: ComputingParameters, data: bytes | memoryview, *, input_only: bool = False
) -> Ciphertext:
    """Return the ciphertext that `write_ciphertext` made bytes of.

    Args:
        parameters: the set that all who compute together have.
        data: the bytes.
        input_only: whether only what is encrypted and not computed with is taken. Its bounds are known, and those of
            what others computed are what they say.

    Raises:
        MalformedEncoding: the bytes are no ciphertext with these parameters, or no input where one is asked for.
    """
    reader = FieldReader(FormatKind.CIPHERTEXT, parameters, data)
    level = reader.number(1, "level", 0, parameters.levels)
    form = reader.number(1, "form", _COMPUTED, _FOR_OWNER)
    if input_only and form == _COMPUTED:
        raise reader.wrong("that somebody computed: an input is as its owner encrypted it")
    owners = tuple(reader.owner() for _ in range(reader.number(1, "owners", 1, MOST_OWNERS)))
    if list(owners) != sorted(set(owners)):
        raise reader.wrong("with owners that are not in alphabetical order, each once")
    size = reader.double("size of slots")
    primes = parameters.primes[: parameters.limbs(level)]
    noise = computing_context(parameters).noise
    if form != _COMPUTED and len(owners) > 1:
        raise reader.wrong("of several owners that is told to be just encrypted, which is under one key")
    if form == _COMPUTED:
        bound = ErrorBound(size, reader.double("noise"), reader.double("coding error"))
        if bound.noise < noise.least:
            raise reader.wrong("with less noise than any encryption has: what is opened of it would not be hidden")
    else:
        bound = noise.fresh(size, level) if form == _BY_OWNER else noise.fresh_public(size, level)
    try:
        noise.accept(bound, level, "read")
    except NoiseTooLarge as error:
        raise reader.wrong(f"with bounds that no operation gives: {error}") from None
    if form == _BY_OWNER:
        seed = reader.take(SEED_BYTES)
        reader.expect(1, primes)
        parts = np.stack([reader.rows(primes), expanded_c1(parameters, owners[0], level, seed)])
        return Ciphertext(parameters, level, owners, parts, bound, seed)
    reader.expect(1 + len(owners), primes)
    parts = np.stack([reader.rows(primes) for _ in range(1 + len(owners))])
    found = Ciphertext(parameters, level, owners, parts, bound)
    if _form(found) != form:
        raise reader.wrong("with the bounds of an encryption in the form of what was computed")
    return found


def ciphertext_digest(ciphertext: Ciphertext) -> bytes:
    """Return the SHA-256 of a ciphertext's bytes, by which opened parts name it."""
    return hashlib.sha256(write_ciphertext(ciphertext)).digest()


def most_ciphertext_bytes(parameters: ComputingParameters, owners: int = MOST_OWNERS) -> int:
    """Return the size that no ciphertext of so many owners exceeds."""
    rows = rows_bytes(parameters.degree, parameters.primes[: parameters.top])
    return HEADER_BYTES + 3 + owners * (1 + MOST_NAME) + 3 * 8 + SEED_BYTES + (1 + owners) * rows
