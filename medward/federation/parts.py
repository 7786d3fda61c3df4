"""A federation's state as many small parts, each under a key of its own: a record writes anew only what it changed.

    state/head                         what every record may change: numbers, the model, what is next
    state/agreement                    what never changes
    state/membership/wishes/a⏎b        the wish of `a` about `b`
    state/round/verdicts/a             what `a` found of the dealings of the last round
    state/data/sets/CID                one sealed data set

A dataclass that holds mappings is a folder: `head` has its other fields, and each entry of a mapping has a key. The
names in a key of a mapping of mappings are on two lines, as no name has more than one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

import msgspec

from medward.federation.membership import Members
from medward.federation.round.state import AnswerAudit, Round
from medward.federation.rules import Agreement, FederationState
from medward.federation.sealed_data.rules import DataSets
from medward.federation.terms import Terms

FOLDER = "state"
_FOLDERS = (FederationState, Members, DataSets, Round, AnswerAudit)
_OPTIONAL = ("round", "audit")
#: What hardly ever changes stands beside the head.
_VALUES = (Agreement, Terms)
_ENCODER = msgspec.msgpack.Encoder(order="deterministic")


def changed_parts(before: FederationState | None, after: FederationState) -> dict[bytes, bytes | None]:
    """Return what is to be written to come from one state to the next: the new value of each key, None for one less.

    What is the same object before and after is not looked into, so the work is that of what changed.
    """
    found = _changes(FOLDER, before, after)
    return {key.encode(): None if value is None else _ENCODER.encode(value[0]) for key, value in found}


def state_of(items: Mapping[bytes, bytes]) -> FederationState:
    """Return the state that all parts together make.

    Raises:
        msgspec.MsgspecError: they make none.
        UnicodeDecodeError: a key is no text.
    """
    folder = f"{FOLDER}/".encode()
    parts = {key.decode(): value for key, value in sorted(items.items()) if key.startswith(folder)}
    state: FederationState | None = _read(FOLDER, FederationState, _tree(parts))
    if state is None:
        raise msgspec.ValidationError("it has no state of a federation")
    return state


def _changes(path: str, before: Any, after: Any) -> Iterator[tuple[str, tuple[Any] | None]]:
    """Yield (key, the new value in a tuple, or None) below a path."""
    if before is after:
        return
    of: Any = type(before if after is None else after)
    form = _form(of)
    head = None if before is None else {name: getattr(before, name) for name in form.head}
    now = None if after is None else {name: getattr(after, name) for name in form.head}
    if now != head:
        yield f"{path}/head", None if now is None else (now,)
    for name in form.values:
        old, new = getattr(before, name, None), getattr(after, name, None)
        if old is not new and old != new:
            yield f"{path}/{name}", None if new is None else (new,)
    for name in form.mappings:
        yield from _entries(f"{path}/{name}/", getattr(before, name, None) or {}, getattr(after, name, None) or {})
    for name in form.folders:
        yield from _changes(f"{path}/{name}", getattr(before, name, None), getattr(after, name, None))


def _entries(path: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any] | None]]:
    if before is after:
        return
    for name, new in after.items():
        old = before.get(name)
        if old is new and name in before:
            continue
        if isinstance(new, Mapping):
            yield from _entries(f"{path}{name}\n", old or {}, new)
        elif name not in before or old != new:
            yield path + name, (new,)
    for name in before.keys() - after.keys():
        old = before[name]
        if isinstance(old, Mapping):
            yield from _entries(f"{path}{name}\n", old, {})
        else:
            yield path + name, None


class _Form(NamedTuple):
    """How a dataclass is cut: the fields of its head, and those by name and type that have keys of their own."""

    head: dict[str, Any]
    values: dict[str, Any]
    mappings: dict[str, Any]
    folders: dict[str, type]


@cache
def _form(of: type) -> _Form:
    hints = get_type_hints(of)
    form = _Form({}, {}, {}, {})
    for one in fields(of):
        hint = hints[one.name]
        folder = next((kind for kind in (hint, *get_args(hint)) if kind in _FOLDERS), None)
        if folder is not None:
            form.folders[one.name] = folder
        elif get_origin(hint) is Mapping:
            form.mappings[one.name] = get_args(hint)[1]
        else:
            (form.values if hint in _VALUES else form.head)[one.name] = hint
    return form


@cache
def _head_form(of: type) -> Any:
    return msgspec.defstruct(f"{of.__name__}Head", list(_form(of).head.items()))


def _tree(parts: Mapping[str, bytes]) -> dict[str, dict[str, bytes]]:
    """Return the parts by the folder, or the mapping, that they are in."""
    tree: dict[str, dict[str, bytes]] = {}
    known = {f"{path}/" for path in _paths(FOLDER, FederationState)}
    for key, value in parts.items():
        folder = max((path for path in known if key.startswith(path)), key=len)
        tree.setdefault(folder, {})[key.removeprefix(folder)] = value
    return tree


def _paths(path: str, of: type) -> Iterator[str]:
    yield path
    yield from (f"{path}/{name}" for name in _form(of).mappings)
    for name, folder in _form(of).folders.items():
        yield from _paths(f"{path}/{name}", folder)


def _read(path: str, of: type, tree: Mapping[str, Mapping[str, bytes]]) -> Any:
    assert is_dataclass(of)
    form, here = _form(of), tree.get(f"{path}/", {})
    if "head" not in here:
        return None
    head = msgspec.msgpack.decode(here["head"], type=_head_form(of))
    found = {name: getattr(head, name) for name in form.head}
    for name, kind in form.values.items():
        found[name] = msgspec.msgpack.decode(here.get(name, b""), type=kind)
    for name, kind in form.mappings.items():
        found[name] = _mapping(tree.get(f"{path}/{name}/", {}), kind)
    for name, folder in form.folders.items():
        found[name] = _read(f"{path}/{name}", folder, tree)
        if found[name] is None and name not in _OPTIONAL:
            raise msgspec.ValidationError(f"it has no {name}")
    return of(**found)


def _mapping(entries: Mapping[str, bytes], kind: Any) -> dict[str, Any]:
    if get_origin(kind) is not Mapping:
        return {name: msgspec.msgpack.decode(value, type=kind) for name, value in entries.items()}
    inner: dict[str, dict[str, bytes]] = {}
    for names, value in entries.items():
        outer, _, name = names.partition("\n")
        inner.setdefault(outer, {})[name] = value
    return {outer: _mapping(held, get_args(kind)[1]) for outer, held in inner.items()}
