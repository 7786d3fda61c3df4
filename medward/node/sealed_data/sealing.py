"""Sealing a data set from a file or folder, and opening it again, beside a member's running node.

    seal      path -> archive (packing.py) -> sealed data (federation/sealed_data/format.py) -> data/unsent -> the node
    unseal    CID or file -> sealed data -> archive -> path

Nothing but ciphertext is written to the home, and the plain data never pass through the node.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from medward.federation.sealed_data.format import Header, Origin, open_data, read_header, seal_data
from medward.node.api.client import NodeClient
from medward.node.errors import NodeError
from medward.node.home.folder import Home
from medward.node.sealed_data.folder import DataFolder
from medward.node.sealed_data.tar_stream import PieceReader, pack, unpack
from medward.store.cid import Cid
from medward.store.errors import BlockNotFound
from medward.store.local import open_directory
from medward.store.reader import limits_of_root


@dataclass(frozen=True)
class UnsealedData:
    """What was unsealed.

    Args:
        path: where it is.
        header: what its header says.
    """

    path: Path
    header: Header


def seal(home: Home, client: NodeClient, path: Path, schema: bytes, rows: int, others: Sequence[str]) -> str:
    """Seal a file or folder, have the node keep it and put it on record; return its CID.

    Args:
        home: the home of the running node.
        client: asks that node.
        path: what is sealed.
        schema: the digest of its schema, empty where nothing is said of it.
        rows: how many rows it has.
        others: members who can open it, too.

    Raises:
        MedwardError: it cannot be done, and why; nothing is on record then, or the node finishes it later.
    """
    name, folder = home.card().name, DataFolder(home.data)
    readers = {name: folder.key().public}
    for other in others:
        if other != name:
            readers[other] = bytes.fromhex(client.about_data("key_of", other)["key"])
    origin = Origin(federation_of(home), name, schema, rows)
    content = cast(BinaryIO, PieceReader(pack(path)))
    unsent = folder.write_unsent(seal_data(content, origin, readers))
    return str(client.about_data("take", unsent)["data"])


def unseal(home: Home, what: str, out: Path, client: NodeClient | None = None) -> UnsealedData:
    """Open sealed data that this member can read, into the folder `out`.

    Args:
        home: the member's home.
        what: the CID, or the path of a file with the sealed data.
        out: the folder that gets the file or folder which was sealed.
        client: asks the running node for what is not in its store; None does without.

    Raises:
        SealBroken: the data were changed or cut short, or are not sealed to this member.
        MedwardError: they cannot be read, or `out` not be written; nothing is left there then.
    """
    name, key = home.card().name, DataFolder(home.data).key()
    with _open_sealed(home, what, client) as source:
        header, _ = read_header(source)
    if header.origin.federation != federation_of(home):
        raise NodeError(f"{what} belongs to the federation {header.origin.federation}, and this home to another")
    with _open_sealed(home, what, client) as source:
        return UnsealedData(unpack(open_data(source, name, key), out), header)


def federation_of(home: Home) -> str:
    """Return the name that the members of a home's federation sum, and seal, under.

    Raises:
        NodeError: the federation does not train, so no data set has a place in it.
    """
    application = home.federation().application
    if application.name != "training":
        raise NodeError(f"{home.folder} belongs to a federation that does not train, and data sets have no place in it")
    parameters: Mapping[str, str] = application.parameters
    return parameters["federation"]


@contextmanager
def _open_sealed(home: Home, what: str, client: NodeClient | None) -> Iterator[BinaryIO]:
    """Open sealed data for reading: a file, or a blob of the home's store."""
    if Path(what).is_file():
        with Path(what).open("rb") as file:
            yield file
        return
    cid = Cid.parse(what)
    if home.configuration().store.engine != "embedded":
        raise NodeError(f"Kubo keeps the blobs of this home: `ipfs cat {what} > FILE`, and name the file instead")
    with open_directory(home.store, read_only=True) as store:
        if not store.has(cid):
            if client is None:
                raise BlockNotFound(f"{what} is not in the store of this home; start its node, which gets it")
            client.about_data("fetch", what)
        limits = limits_of_root(cid, store.get_block(cid))
        yield cast(BinaryIO, PieceReader(store.stream(cid, limits=limits)))
