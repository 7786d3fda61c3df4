"""One owner's part of an opened result as bytes.

    header | owner: length (1), name | digest of the ciphertext (32) | b (1) | m (1) | p_i modulo the base primes

b and m are the shape of the noise: m digits in base b (spec/computing.md, sections 9 and 10).
"""

from medward.fhe.computing.flooding import LARGEST_BASE, MOST_DIGITS, FloodShape
from medward.fhe.computing.formats.fields import FieldReader, FormatKind, header, number, owner_field, packed
from medward.fhe.computing.opening import OpenedPart
from medward.fhe.computing.parameters import BASE_PRIMES, ComputingParameters

_CIPHERTEXT_DIGEST_BYTES = 32


def write_opened_part(part: OpenedPart) -> bytes:
    """Return the bytes of an opened part.

    Raises:
        MalformedEncoding: its owner's name is none.
    """
    named = header(FormatKind.OPENED_PART, part.parameters) + owner_field(part.owner) + part.ciphertext
    shape = number(part.flood.base, 1) + number(part.flood.digits, 1)
    return named + shape + packed(part.element, part.parameters.primes[:BASE_PRIMES])


def read_opened_part(parameters: ComputingParameters, data: bytes | memoryview) -> OpenedPart:
    """Return the opened part that `write_opened_part` made bytes of.

    Args:
        parameters: the set that all who compute together have.
        data: the bytes.

    Raises:
        MalformedEncoding: the bytes are no opened part with these parameters.
    """
    reader = FieldReader(FormatKind.OPENED_PART, parameters, data)
    owner, ciphertext = reader.owner(), reader.take(_CIPHERTEXT_DIGEST_BYTES)
    shape = FloodShape(
        reader.number(1, "base of noise", 1, LARGEST_BASE), reader.number(1, "digits of noise", 1, MOST_DIGITS)
    )
    if (shape.base == 1) != (shape.digits == 1):
        raise reader.wrong("with noise of one digit in a base, or of several in none")
    primes = parameters.primes[:BASE_PRIMES]
    reader.expect(1, primes)
    return OpenedPart(owner, parameters, ciphertext, shape, reader.rows(primes))
