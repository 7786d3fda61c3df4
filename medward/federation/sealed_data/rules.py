"""The rules of sealed data sets: what members say they keep sealed in their stores.

    DataKey      a member's public key, by its blob's name; boxes for it are sealed to the last one it named
    SealedData   a data set that the author sealed: name, schema, rows, readers
    Withdraw     the author no longer keeps it

Only the owner needs a data set, so nobody attests to it: the rules see the record, and `medward audit` compares the
record with the blob.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from medward.federation.errors import RecordRefused
from medward.federation.records import DataKey, SealedData, Withdraw
from medward.store.cid import Cid
from medward.store.errors import StoreError

#: The state is encoded at every block, so it must not grow without bound.
MOST_SETS = 64


@dataclass(frozen=True)
class KeptSet:
    """A data set that a member keeps sealed.

    Args:
        member: who sealed it.
        schema: the digest of its schema; empty for bytes that nothing was said of.
        rows: how many rows it has; 0 where that is not known.
        readers: the members whose keys open it.
        time: when the record was ordered, in agreed seconds.
    """

    member: str
    schema: bytes
    rows: int
    readers: tuple[str, ...]
    time: float


@dataclass(frozen=True)
class DataSets:
    """What the members have said of their data sets.

    Args:
        keys: the blob of each member's public key, by the member.
        sets: the data sets that are kept, by the name of the sealed blob.
    """

    keys: Mapping[str, str] = field(default_factory=dict)
    sets: Mapping[str, KeptSet] = field(default_factory=dict)


def apply_to_data(
    state: DataSets, record: DataKey | SealedData | Withdraw, author: str, members: tuple[str, ...], time: float
) -> DataSets:
    """Return the data sets after one more record.

    Args:
        state: what was there before.
        record: the record.
        author: the member that signed it.
        members: the members now.
        time: its agreed time in seconds.

    Raises:
        Refused: the record breaks a rule.
    """
    match record:
        case DataKey(key=key):
            _check_name(key)
            if state.keys.get(author) == key:
                raise RecordRefused(f"{author} has named this key already.")
            return replace(state, keys={**state.keys, author: key})
        case SealedData():
            return replace(state, sets={**state.sets, record.data: _keep(state, record, author, members, time)})
    kept = state.sets.get(record.data)
    if kept is None or kept.member != author:
        raise RecordRefused(f"{author} keeps no data set {record.data}.")
    return replace(state, sets={name: one for name, one in state.sets.items() if name != record.data})


def without_member(state: DataSets, member: str) -> DataSets:
    """Return the data sets after a member went: it takes its key and its data with it."""
    keys = {name: key for name, key in state.keys.items() if name != member}
    return DataSets(keys, {name: one for name, one in state.sets.items() if one.member != member})


def _keep(state: DataSets, record: SealedData, author: str, members: tuple[str, ...], time: float) -> KeptSet:
    _check_name(record.data)
    if record.data in state.sets:
        raise RecordRefused(f"The data set {record.data} is on record already.")
    if len(record.schema) not in (0, 32):
        raise RecordRefused("A schema is named by a SHA-256 digest, or not at all.")
    strangers = [name for name in record.readers if name not in members]
    if strangers or author not in record.readers or len(set(record.readers)) < len(record.readers):
        raise RecordRefused("A data set's readers are its owner and other members, each once.")
    if sum(one.member == author for one in state.sets.values()) >= MOST_SETS:
        raise RecordRefused(f"{author} keeps {MOST_SETS} data sets already; withdraw one.")
    return KeptSet(author, record.schema, record.rows, record.readers, time)


def _check_name(name: str) -> None:
    try:
        canonical = str(Cid.parse(name)) == name
    except StoreError:
        canonical = False
    if not canonical:
        raise RecordRefused("A blob is named by its CID, as this store writes it.")
