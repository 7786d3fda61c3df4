"""Encrypted sums beside what others offer: what stands beside what, and ratios above 1 where medward is better."""

import pytest

from medward.bench.fhe import measures, others
from medward.bench.fhe.member_part import STEPS, RoundTimes
from medward.errors import MedwardError
from medward.federation.model.wire import sum_set


@pytest.fixture
def small() -> RoundTimes:
    """Made by hand, so that each figure below follows from others."""
    steps = dict(zip(STEPS, (0.5, 0.25, 2.0, 0.125, 1.0), strict=True))
    return RoundTimes(sum_set(8, 4), 9000, steps, 4.0, contribution=70_000, response=300, answer=2000, error=0)


def test_steps_are_told_in_milliseconds_and_one_dealing_takes_its_share_of_all(small: RoundTimes) -> None:
    measured = {row.what: (row.ours, row.unit) for row in measures.round_rows(small, None)}
    assert measured["a member's whole part, 8 bits, 4 members"] == (9000 / 4.0, "weights/s")
    assert measured["contribute (encrypt, deal, seal), 8 bits, 4 members"] == (500.0, "ms")
    assert measured["examine one dealing and one's share of it, 8 bits, 4 members"] == (500.0, "ms")
    assert measured["examine all 4, 8 bits, 4 members"] == (2000.0, "ms")
    assert measured["sent by a member, 8 bits, 4 members"] == (72_300, "bytes")
    assert measured["fetched by a member, 8 bits, 4 members"] == (3 * 72_300, "bytes")


def test_a_system_that_cannot_add_has_no_part_to_compare_with(small: RoundTimes) -> None:
    other = others.CostPerValue("another", encrypt=2.0, add=None, decrypt=1.0, size=80.0, error=None)
    whole, ciphertexts, *_ = measures.round_rows(small, other)
    assert (whole.other, whole.ratio) == (None, None)
    assert ciphertexts.ratio == pytest.approx(80.0 / ciphertexts.ours)


def test_pieces_are_compared_in_the_direction_that_is_better_for_their_unit() -> None:
    pieces = measures.PieceTimes(1000, encrypt=0.001, add=0.002, decrypt=0.004, size=2.0)
    other = others.CostPerValue("another", encrypt=3.0, add=1.0, decrypt=2.0, size=8.0, error=0.0)
    rows = measures.piece_rows(pieces, "x", other)
    assert [(row.what, row.ours, row.other, row.ratio) for row in rows] == [
        ("encrypt; x", pytest.approx(1e6), pytest.approx(1e6 / 3), pytest.approx(3.0)),
        ("add two; x", pytest.approx(5e5), pytest.approx(1e6), pytest.approx(0.5)),
        ("decrypt; x", pytest.approx(2.5e5), pytest.approx(5e5), pytest.approx(0.5)),
        ("ciphertext; x", 2.0, 8.0, 4.0),
    ]


def test_rows_stand_beside_the_same_work_of_another_system(small: RoundTimes) -> None:
    other = others.CostPerValue("another", encrypt=2.0, add=0.5, decrypt=1.0, size=80.0, error=0.25)
    measured = {row.what: row for row in measures.round_rows(small, other)}
    whole = measured["a member's whole part, 8 bits, 4 members"]
    assert whole.other == pytest.approx(1e6 / (2.0 + 3 * 0.5 + 1.0))
    assert whole.ratio == pytest.approx(whole.ours * (2.0 + 3 * 0.5 + 1.0) / 1e6)
    assert measured["ciphertexts, 8 bits, 4 members"].ratio == pytest.approx(80.0 / (small.ciphertexts / 9000))
    assert measured["largest error, 8 bits, 4 members"].ours == 0
    alone = measures.round_rows(small, None)
    assert [row.what for row in alone] == list(measured)
    assert all((row.other, row.other_name, row.ratio) == (None, None, None) for row in alone)


def test_pieces_are_left_out_that_another_system_cannot_do() -> None:
    pieces = measures.piece_times(4, 8, weights=9000, runs=3)
    assert pieces.encrypt > 0
    assert pieces.decrypt > 0
    other = others.CostPerValue("another", encrypt=2.0, add=None, decrypt=1.0, size=80.0, error=None)
    assert [row.what.split(";")[0] for row in measures.piece_rows(pieces, "x", other)] == [
        "encrypt", "decrypt", "ciphertext"
    ]  # fmt: skip


def test_parts_are_measured_in_one_order_and_an_unknown_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "transform_rows", lambda: ["transforms"])
    monkeypatch.setattr(measures, "scoring_rows", lambda: ["scoring"])
    told: list[str] = []
    assert measures.rows_of(["scoring", "transforms"], told.append) == ["transforms", "scoring"]
    assert told == ["measuring transforms", "scoring encrypted flows"]
    with pytest.raises(MedwardError, match=r"no part 'sum'; the parts are transforms, .*, sums"):
        measures.rows_of(["sum"], told.append)


def test_every_part_is_measured_where_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "PARTS", {name: (name, lambda _: []) for name in measures.PARTS})
    told: list[str] = []
    assert measures.rows_of([], told.append) == []
    assert told == list(measures.PARTS)
