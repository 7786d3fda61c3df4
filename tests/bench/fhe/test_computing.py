"""Operations on ciphertexts beside SEAL's: results are right before they are timed."""

import pytest

from medward.bench.fhe import computing, others
from medward.fhe.errors import UnsafeParameters

SMALL = computing.ComputingSet(1024, 45, 1, 2)


@pytest.mark.parametrize("library", ["seal", "no_such_library_anywhere"])
def test_operations_on_ciphertexts_are_right_before_they_are_timed(
    monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    found = others.installed(library)
    monkeypatch.setattr(computing, "installed", lambda _: found)
    rows = computing.computing_rows((SMALL,), runs=2, for_tests=True)
    assert [row.what for row in rows] == [
        "multiply, relinearise, rescale; N = 1024", "rotate; N = 1024", "two disjoint keys, multiply; N = 1024",
    ]  # fmt: skip
    for row in rows:
        assert row.ours > 0
        assert (row.ratio is None) == (found is None)
        assert row.ratio is None or row.ratio == pytest.approx(row.other / row.ours)


def test_products_under_many_keys_are_right_before_they_are_timed() -> None:
    rows = computing.many_key_rows(SMALL, (2, 3), runs=1, for_tests=True)
    assert [row.what for row in rows] == [
        f"{count} keys in both factors, {method}; N = 1024" for count in (2, 3) for method in ("CDKS", "KKLSS")
    ]
    assert all(row.ours > 0 and row.unit == "ms" for row in rows)


def test_products_under_many_keys_stand_alone_without_seal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computing, "installed", lambda _: None)
    rows = computing.many_key_rows(SMALL, (2,), runs=1, for_tests=True)
    assert [row.what.split(",")[0] for row in rows] == ["2 keys in both factors"] * 2
    assert all((row.other, row.other_name, row.ratio) == (None, None, None) for row in rows)


def test_insecure_sets_are_measured_in_tests_alone() -> None:
    with pytest.raises(UnsafeParameters, match=r"degree 1024 .* not secure"):
        computing.computing_rows((SMALL,), runs=1)
    with pytest.raises(UnsafeParameters, match=r"degree 1024 .* not secure"):
        computing.many_key_rows(SMALL, (2,), runs=1)


def test_seal_gets_primes_of_as_many_bits_as_ours() -> None:
    assert computing.ComputingSet(16384, 40, 3, 2).prime_bits == [50, 50, 40, 40, 40]
