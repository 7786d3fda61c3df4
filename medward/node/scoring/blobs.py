"""Blobs of scoring in a node's store, ciphertexts read and written one after the other."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from medward.federation.scoring.terms import ScoringTerms
from medward.fhe.computing.ciphertexts import Ciphertext
from medward.fhe.computing.formats.ciphertext_files import read_ciphertexts, write_ciphertexts
from medward.node.computing.blobs import ComputingBlobs
from medward.store.interface import BlobStore

_MOST_OWNERS = 2


class ScoringBlobs(ComputingBlobs):
    """A store, as scoring uses it; every method blocks.

    Args:
        store: the store.
        folder: for files that are being written.
    """

    def __init__(self, store: BlobStore, folder: Path) -> None:
        super().__init__(store, folder, "scoring/")

    def put_ciphertexts(self, ciphertexts: Iterable[Ciphertext], terms: ScoringTerms, label: str) -> str:
        """Keep a file of ciphertexts, which are made while it is written, and return its name."""
        return self.put_file(lambda file: write_ciphertexts(file, terms.parameters, ciphertexts), label)

    def ciphertexts(
        self, name: str, terms: ScoringTerms, most: int, *, input_only: bool = False
    ) -> Iterator[Ciphertext]:
        """Yield the ciphertexts of a file of at most so many bytes.

        Args:
            name: the file's.
            terms: of scoring.
            most: bytes.
            input_only: whether all of them must be as their owner encrypted them.

        Raises:
            StoreError: nobody has it, or it is none.
            MalformedEncoding: it is no file of ciphertexts.
        """
        return read_ciphertexts(self.stream(name, most), terms.parameters, _MOST_OWNERS, input_only=input_only)
