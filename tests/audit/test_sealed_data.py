"""Sealed data on record and in the store: what the record says is what was sealed, and damage is told of its owner."""

import io
from collections.abc import Iterator
from dataclasses import replace

import pytest

from medward.audit.findings import AuditResult, Finding
from medward.audit.sealed_data import audit_data, data_blobs
from medward.audit.stores import Stores
from medward.federation.rules import FederationState, founded
from medward.federation.sealed_data.format import Origin, seal_data
from medward.federation.sealed_data.rules import DataSets, KeptSet
from medward.fhe.hybrid import HybridKey
from medward.store.local import LocalStore, in_memory
from tests.federation.test_application import AGREEMENT

OWNER, OTHER, ROWS = "a", "b", 12
ORIGIN = Origin(AGREEMENT.name, OWNER, b"s" * 32, ROWS)
KEYS = {OWNER: HybridKey().public, OTHER: HybridKey().public}
SEALED = b"".join(seal_data(io.BytesIO(bytes(100)), ORIGIN, KEYS, chunk_bytes=40))
#: Of 100 bytes in chunks of 40 the last has 20 and its tag.
LAST = 36


class Kept:
    """A store with a sealed data set and a key, and what is on record of them."""

    def __init__(self) -> None:
        self.store: LocalStore = in_memory()
        self.key = self.put(KEYS[OWNER])
        self.name = self.put(SEALED)
        self.kept = KeptSet(OWNER, ORIGIN.schema, ROWS, (OWNER, OTHER), 1.0)

    def put(self, content: bytes) -> str:
        return str(self.store.add(content, pin="data"))

    def state(self, sets: dict[str, KeptSet] | None = None, keys: dict[str, str] | None = None) -> FederationState:
        said = {self.name: self.kept} if sets is None else sets
        return replace(founded(AGREEMENT), data=DataSets({OWNER: self.key} if keys is None else keys, said))

    def audited(self, state: FederationState) -> AuditResult:
        found = AuditResult()
        audit_data(state, Stores({OWNER: self.store.blocks}), found)
        return found


@pytest.fixture
def kept() -> Iterator[Kept]:
    kept = Kept()
    yield kept
    kept.store.close()


def _only(problems: list[Finding]) -> Finding:
    [problem] = problems
    return problem


def test_record_that_says_what_was_sealed_is_sound(kept: Kept) -> None:
    found = kept.audited(kept.state())
    assert found.problems == []
    assert found.checked == {"sets": 1, "rows": ROWS, "data keys": 1}


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ({"rows": ROWS + 1}, "number of rows"),
        ({"schema": b"t" * 32}, "schema"),
        ({"member": OTHER}, "member"),
        ({"readers": (OWNER,)}, "readers"),
        ({"readers": (OTHER, OWNER)}, "readers"),
    ],
)
def test_record_that_says_other_than_what_was_sealed_is_named(kept: Kept, said: dict[str, object], what: str) -> None:
    lied = {kept.name: replace(kept.kept, **said)}  # type: ignore[arg-type]
    problem = _only(kept.audited(kept.state(lied)).problems)
    assert problem.name == kept.name
    assert f"with the {what}" in problem.what


def test_data_that_were_sealed_for_another_federation_are_named(kept: Kept) -> None:
    """Who copies a set of another federation's into this one puts it under another name of a federation."""
    state = kept.state()
    other = replace(state, agreement=AGREEMENT.__class__(**{**_fields(), "name": "another"}))
    problem = _only(kept.audited(other).problems)
    assert "on record with the federation another, and sealed with test" in problem.what


def _fields() -> dict[str, object]:
    return {name: getattr(AGREEMENT, name) for name in AGREEMENT.__struct_fields__}


def test_blob_that_is_no_sealed_data_and_key_that_is_none_are_named(kept: Kept) -> None:
    other = kept.put(b"a model")
    found = kept.audited(kept.state({other: kept.kept}, {OWNER: kept.name}))
    said = sorted(problem.what.split(": ")[0] for problem in found.problems)
    assert said == [f"the data key of {OWNER} is of no use", f"the data set of {OWNER} is not sealed"]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (SEALED[: -LAST + 10], "is cut short"),
        (SEALED[: -LAST - 2 * 56], "is cut short"),
        (SEALED[:40], "is not sealed"),
        (SEALED[:10], "is not sealed"),
        (b"", "is not sealed"),
        (SEALED[:22] + b"\xff" * 4 + SEALED[26:], "is not sealed"),
        (SEALED[:22] + bytes(4) + SEALED[26:], "is not sealed"),
    ],
    ids=["within a tag", "no chunk", "within the header", "within the length", "empty", "vast header", "no header"],
)
def test_data_that_no_sealing_makes_are_named(kept: Kept, content: bytes, what: str) -> None:
    name = kept.put(content)
    problem = _only(kept.audited(kept.state({name: kept.kept})).problems)
    assert problem.what.startswith(f"the data set of {OWNER} {what}")
    assert "\n" not in problem.what


@pytest.mark.parametrize("chunks", [0, 1])
def test_data_that_were_cut_between_chunks_are_beyond_an_auditor(kept: Kept, chunks: int) -> None:
    """Only who has a key sees that the last chunk is missing: each length between chunks is one that sealing makes."""
    name = kept.put(SEALED[: -LAST - 56 * chunks])
    assert kept.audited(kept.state({name: kept.kept})).problems == []


def test_what_is_nowhere_or_no_name_at_all_is_left_to_who_tells_of_missing_blobs(kept: Kept) -> None:
    gone = str(in_memory().add(b"elsewhere", pin="data"))
    found = kept.audited(kept.state({gone: kept.kept, "no name": kept.kept}, {OWNER: gone, OTHER: kept.key}))
    assert found.problems == []
    assert found.checked == {"sets": 2, "rows": 2 * ROWS, "data keys": 2}


@pytest.mark.parametrize("change", [b"", b"!", KEYS[OWNER][:-1], KEYS[OWNER] + b"!", bytes(len(KEYS[OWNER]))])
def test_key_that_nothing_can_be_sealed_to_is_named(kept: Kept, change: bytes) -> None:
    name = kept.put(change)
    problem = _only(kept.audited(kept.state({}, {OTHER: name})).problems)
    assert problem.what.startswith(f"the data key of {OTHER} is of no use")
    assert problem.name == name


def test_blobs_are_named_by_what_they_are_and_whose(kept: Kept) -> None:
    data = DataSets({OWNER: "key-a", OTHER: "key-b"}, {"set": kept.kept, "other": replace(kept.kept, member=OTHER)})
    assert data_blobs(data, [OWNER]) == {"set": "the sealed data set of a", "key-a": "the data key of a"}
    assert data_blobs(data, [OWNER, OTHER]).keys() == {"set", "other", "key-a", "key-b"}
    assert data_blobs(data, []) == {}
