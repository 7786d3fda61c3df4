"""Transforms beside SEAL's: each pair does the same work, and ours stands alone where SEAL is not installed."""

import pytest

from medward.bench.fhe import others, transforms


def test_ours_and_seals_are_timed_on_the_same_work_where_seal_is_installed() -> None:
    if others.installed("seal") is None:
        pytest.skip("SEAL is not installed (the extra `bench`)")
    rows = transforms.transform_rows(rounds=1, degrees=(2048,))
    assert [row.what for row in rows] == [f"{what}, one 50-bit limb, N = 2048" for what in transforms.WHAT]
    assert all(row.ratio == pytest.approx(row.other / row.ours) for row in rows if row.other)
    assert {row.other_name is not None and row.other_name.startswith("SEAL") for row in rows} == {True}


def test_library_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert others.installed("no_such_library_anywhere") is None
    monkeypatch.setattr(transforms, "installed", lambda _: None)
    measured = transforms.transform_rows(rounds=1, degrees=(1024, 2048))
    assert len(measured) == 2 * len(transforms.WHAT)
    assert all(row.other is None and row.ratio is None and row.ours > 0 for row in measured)
