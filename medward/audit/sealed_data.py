"""The audit of sealed data sets: that what is on record is what the owner keeps.

Without a key nobody sees what is inside. What can be checked is that the blob is whole, and that its header, to which
the encryption is bound, says the same as the record.
"""

from collections.abc import Collection, Iterator
from typing import BinaryIO, cast

from medward.audit.findings import AuditResult, Finding
from medward.audit.stores import Stores
from medward.errors import MedwardError
from medward.federation.rules import FederationState
from medward.federation.sealed_data.format import SealBroken, read_header, sealed_size_fits
from medward.federation.sealed_data.rules import DataSets, KeptSet
from medward.fhe.hybrid import PUBLIC_BYTES, check_public
from medward.node.sealed_data.tar_stream import PieceReader
from medward.store.limits import file_of


def data_blobs(data: DataSets, members: Collection[str]) -> dict[str, str]:
    """Return name -> what it is, of the blobs of data records that these members must have.

    Args:
        data: what is on record.
        members: by name.
    """
    sets = {name: f"the sealed data set of {one.member}" for name, one in data.sets.items() if one.member in members}
    keys = {name: f"the data key of {member}" for member, name in data.keys.items() if member in members}
    return {**sets, **keys}


def audit_data(state: FederationState, stores: Stores, found: AuditResult) -> None:
    """Compare the data records with their blobs, as far as these are in the homes.

    Args:
        state: the federation now.
        stores: the homes' stores.
        found: takes what is found; what is missing is told elsewhere.
    """
    for name, one in state.data.sets.items():
        found.count("sets")
        found.count("rows", one.rows)
        if stores.has(name):
            for what in _disagreements(name, one, state.agreement.name, stores):
                found.problems.append(Finding(f"the data set of {one.member} {what}", name=name))
    for member, name in state.data.keys.items():
        found.count("data keys")
        public = stores.read(name, file_of(PUBLIC_BYTES))
        try:
            if public is not None:
                check_public(public)
        except ValueError as error:
            found.problems.append(Finding(f"the data key of {member} is of no use: {error}", name=name))


def _disagreements(name: str, one: KeptSet, federation: str, stores: Stores) -> Iterator[str]:
    try:
        header, head = read_header(cast(BinaryIO, PieceReader(stores.stream(name))))
    except SealBroken as error:
        yield f"is not sealed: {error}"
        return
    except MedwardError as error:
        yield f"cannot be read: {error}"
        return
    origin = header.origin
    for what, recorded, sealed in (
        ("federation", federation, origin.federation),
        ("member", one.member, origin.member),
        ("schema", one.schema.hex(), origin.schema.hex()),
        ("number of rows", one.rows, origin.rows),
        ("readers", ", ".join(one.readers), ", ".join(header.readers)),
    ):
        if recorded != sealed:
            yield f"is on record with the {what} {recorded}, and sealed with {sealed}"
    if not sealed_size_fits(header, stores.size(name) - len(head)):
        yield "is cut short: its length is none that sealing makes"
