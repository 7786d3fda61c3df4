"""Bytes that are read in order from a file or a pipe, piece by piece."""

from typing import BinaryIO

from medward.fhe.errors import MalformedEncoding

_PIECE = 1 << 20


class ByteSource:
    """A file that is read in order; memory is taken for what is there, not for what is told to come.

    Args:
        file: open for reading, in bytes.
        what: the file is, for sentences.
    """

    def __init__(self, file: BinaryIO, what: str) -> None:
        self._file, self._what = file, what
        self.position = 0
        self.last = b""

    def take(self, size: int, place: str) -> bytes:
        """Return the next bytes.

        Args:
            size: how many.
            place: what they are, for a sentence.

        Raises:
            MalformedEncoding: the file ends before.
        """
        pieces, left = [], size
        while left:
            piece = self._file.read(min(left, _PIECE))
            if not piece:
                ended = self.position + size - left
                raise MalformedEncoding(f"{self._what}: ends at byte {ended}, inside {place}: fetch it again")
            pieces.append(piece)
            left -= len(piece)
        self.position += size
        self.last = b"".join(pieces)
        return self.last

    def end(self) -> None:
        """Refuse a file that goes on.

        Raises:
            MalformedEncoding: it does.
        """
        if self._file.read(1):
            raise MalformedEncoding(f"{self._what}: goes on after its end, at byte {self.position}")
