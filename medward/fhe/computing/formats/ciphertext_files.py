"""Files of ciphertexts that are written and read one after the other, with the memory of one.

    header | record of each ciphertext | 4 zero bytes | how many (8) | digest (32)
    record: length (4) | ciphertext | digest (32)

Each digest is the SHA-256 of the digest before it (at first, of the header) and the bytes since: no ciphertext is
handed out before what it stands behind was found unaltered, in order and whole (spec/computing.md, section 10).
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from medward.fhe.computing.ciphertexts import Ciphertext
from medward.fhe.computing.formats.byte_source import ByteSource
from medward.fhe.computing.formats.ciphertexts import most_ciphertext_bytes, read_ciphertext, write_ciphertext
from medward.fhe.computing.formats.fields import HEADER_BYTES, MOST_OWNERS, FieldReader, FormatKind, header, number
from medward.fhe.computing.parameters import ComputingParameters
from medward.fhe.errors import MalformedEncoding

_CHAIN_BYTES = 32


def write_ciphertexts(file: BinaryIO, parameters: ComputingParameters, ciphertexts: Iterable[Ciphertext]) -> bytes:
    """Write ciphertexts to a file one after the other, and return the last digest, which names all of them.

    Args:
        file: open for writing, in bytes.
        parameters: of all of them.
        ciphertexts: made while they are written.

    Raises:
        MalformedEncoding: one of them is of other parameters, or cannot be written.
    """
    head = header(FormatKind.CIPHERTEXT_FILE, parameters)
    file.write(head)
    chain, count = hashlib.sha256(head).digest(), 0
    for ciphertext in ciphertexts:
        if ciphertext.parameters != parameters:
            raise MalformedEncoding(f"ciphertext {count + 1} is of other parameters than the file")
        data = write_ciphertext(ciphertext)
        length = number(len(data), 4)
        chain = hashlib.sha256(chain + length + data).digest()
        for piece in (length, data, chain):
            file.write(piece)
        count += 1
    end = number(0, 4) + number(count, 8)
    chain = hashlib.sha256(chain + end).digest()
    file.write(end + chain)
    return chain


def read_ciphertexts(
    file: BinaryIO, parameters: ComputingParameters, owners: int = MOST_OWNERS, *, input_only: bool = False
) -> Iterator[Ciphertext]:
    """Yield the ciphertexts of a file one after the other; the file may be a pipe.

    Args:
        file: open for reading, in bytes.
        parameters: the set that all who compute together have.
        owners: how many keys a ciphertext may be under.
        input_only: see `read_ciphertext`.

    Raises:
        MalformedEncoding: the file holds something else, ends too early, was altered, or goes on after its end; the
            text names the ciphertext and the byte.
    """
    source = ByteSource(file, "ciphertext file")
    FieldReader(FormatKind.CIPHERTEXT_FILE, parameters, source.take(HEADER_BYTES, "its beginning"))
    chain, count, most = hashlib.sha256(source.last).digest(), 0, most_ciphertext_bytes(parameters, owners)
    while True:
        place = f"ciphertext {count + 1}, at byte {source.position}"
        length_field = source.take(4, place)
        length = int.from_bytes(length_field, "little")
        if length == 0:
            break
        if length > most:
            raise MalformedEncoding(f"ciphertext file: {place}, would have {length} bytes; none has above {most}")
        data = source.take(length, place)
        chain = hashlib.sha256(chain + length_field + data).digest()
        if source.take(_CHAIN_BYTES, place) != chain:
            raise MalformedEncoding(f"ciphertext file: {place}, or what stands before it was altered: fetch it again")
        try:
            ciphertext = read_ciphertext(parameters, data, input_only=input_only)
        except MalformedEncoding as error:
            raise MalformedEncoding(f"ciphertext file: {place}: {error}") from None
        if len(ciphertext.owners) > owners:
            raise MalformedEncoding(
                f"ciphertext file: {place}: it is under {len(ciphertext.owners)} keys, not {owners}"
            )
        count += 1
        yield ciphertext
    place = f"its end, at byte {source.position}"
    told = source.take(8, place)
    chain = hashlib.sha256(chain + number(0, 4) + told).digest()
    if source.take(_CHAIN_BYTES, place) != chain or told != number(count, 8):
        raise MalformedEncoding(f"ciphertext file: {place}, was altered: fetch it again")
    source.end()
