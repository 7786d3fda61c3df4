"""Bytes from anybody: whatever comes in is judged, refused in a sentence or passed over; it crashes no member."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medward.federation.sums.interface import DealingVerdict, WrongSum
from tests.federation.sums.ward import AUDIT_BEACON, BEACON, Ward

CONTRIBUTION, RESPONSE, SHOWN, ANSWER, AUDIT = range(5)


class _Examples:
    """A finished sum of four, with one good object of each kind of hospital-1's."""

    def __init__(self, folder: Path) -> None:
        self.ward = Ward(folder)
        self.contributions, self.responses = self.ward.contribute(), self.ward.respond()
        self.ward.examine(self.contributions, self.responses)
        self.answers = self.ward.answer()
        part, terms = self.ward.parts["hospital-1"], self.ward.terms
        self.good = (
            self.contributions["hospital-1"], self.responses["hospital-1"], part.show(terms, ["hospital-4"]),
            self.answers["hospital-1"], part.respond_to_audit(terms, AUDIT_BEACON),
        )  # fmt: skip

    def judge(self, kind: int, data: bytes) -> object:
        """Let hospital-4 judge `data` in place of a good object; on its share all values of a polynomial bear."""
        part, terms = self.ward.parts["hospital-4"], self.ward.terms
        given_objects = list(self.good)
        given_objects[kind] = data
        contribution, response, shown, answer, audit = given_objects
        if kind in (CONTRIBUTION, RESPONSE):
            share = part.dealt(terms, "hospital-3", self.contributions["hospital-3"])
            assert share is not None
            part.convicts(terms, BEACON, "hospital-1", "hospital-4", contribution, response, share)
            verdict = part.examine(terms, BEACON, "hospital-1", contribution, response)
            part.examine(terms, BEACON, "hospital-1", *self.good[:2])
            return verdict
        if kind == SHOWN:
            return part.examine_shown(terms, BEACON, "hospital-1", ["hospital-4"], contribution, response, shown)
        if kind == ANSWER:
            found = part.decrypt(terms, self.ward.names, self.contributions, {**self.answers, "hospital-1": answer})
            assert found is not None
            return found.wrong
        return part.contradicts(terms, AUDIT_BEACON, "hospital-1", audit)


#: What is said of bytes that are not what they should be; whoever answered with them is named.
REFUSED = {
    CONTRIBUTION: DealingVerdict.AT_FAULT,
    RESPONSE: DealingVerdict.AT_FAULT,
    SHOWN: False,
    ANSWER: ("hospital-1",),
    AUDIT: True,
}


@pytest.fixture(scope="module")
def examples() -> Iterator[_Examples]:
    with tempfile.TemporaryDirectory() as folder:
        yield _Examples(Path(folder))


def test_good_objects_are_good(examples: _Examples) -> None:
    results = [examples.judge(kind, good) for kind, good in enumerate(examples.good)]
    assert results == [DealingVerdict.GOOD, DealingVerdict.GOOD, True, (), False]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 4), st.data())
def test_flipped_bit_is_never_taken_for_the_good_object(examples: _Examples, kind: int, data: st.DataObject) -> None:
    good = examples.good[kind]
    changed = bytearray(good)
    at = data.draw(st.one_of(st.integers(0, 40), st.integers(0, len(good) - 1)))
    changed[at] ^= 1 << data.draw(st.integers(0, 7))
    result = examples.judge(kind, bytes(changed))
    if kind == CONTRIBUTION:
        # A changed ciphertext is its sender's other number; a changed box or digest of another holder is that one's.
        context = examples.ward.parts["hospital-4"]._sum(examples.ward.terms).context
        element = 12800
        others = at >= 24 + element
        assert others or result is not DealingVerdict.GOOD
        assert context.blocks == 1
    elif kind == RESPONSE:
        assert result is not DealingVerdict.GOOD
    elif kind == SHOWN:
        assert result is False
    elif kind == ANSWER:
        assert result in ((), ("hospital-1",))
    else:
        assert result is True


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 4), st.one_of(st.binary(max_size=200), st.integers(0, 2000)), st.booleans())
def test_arbitrary_cut_or_lengthened_bytes_are_refused(
    examples: _Examples, kind: int, other: bytes | int, front: bool
) -> None:
    good = examples.good[kind]
    if isinstance(other, bytes):
        data = other + good if front and other else other
    else:
        data = good[: -1 - other] if front else good + bytes(1 + other)
    result = examples.judge(kind, data)
    assert result == REFUSED[kind]


def test_objects_in_each_other_s_place_are_refused(examples: _Examples) -> None:
    for kind in range(5):
        for other in range(5):
            if other != kind:
                assert examples.judge(kind, examples.good[other]) == REFUSED[kind]


def test_malformed_contribution_in_a_decryption_is_said_with_its_sender(examples: _Examples) -> None:
    part, terms = examples.ward.parts["hospital-4"], examples.ward.terms
    wrong = {**examples.contributions, "hospital-3": b"short"}
    with pytest.raises(WrongSum, match="the contribution of hospital-3"):
        part.decrypt(terms, examples.ward.names, wrong, examples.answers)
    with pytest.raises(WrongSum, match="the contribution of hospital-3"):
        part.dealt(terms, "hospital-3", b"short")


def test_examining_a_huge_blob_takes_no_memory(examples: _Examples) -> None:
    import tracemalloc  # noqa: PLC0415

    huge = bytes(60_000_000)
    tracemalloc.start()
    for kind in range(5):
        examples.judge(kind, huge)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8_000_000
