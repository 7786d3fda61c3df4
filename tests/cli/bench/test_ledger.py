"""`medward bench ledger` as a person or a script calls it."""

from collections.abc import Iterator

import pytest

from medward.bench.rows import BenchmarkRow
from tests.cli.conftest import Run


def test_what_is_asked_for_is_measured_and_printed(medward: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(seconds: float, workers: int) -> Iterator[BenchmarkRow]:
        yield BenchmarkRow(f"{seconds} s, {workers} clients", 2.0, None, None, None, "transactions/s")

    monkeypatch.setattr("medward.bench.ledger.measures.measure_all", measured)
    done = medward("bench", "ledger", "--json", "--seconds", "1.5", "--workers", "7")
    assert done.code == 0
    assert [row["what"] for row in done.document["rows"]] == ["1.5 s, 7 clients"]


@pytest.mark.parametrize(
    "words",
    [
        ("--seconds", "0.5"),
        ("--seconds", "nan"),
        ("--seconds", "inf"),
        ("--seconds", "1e9"),
        ("--workers", "0"),
        ("--workers", "513"),
    ],
)
def test_a_measurement_without_an_end_or_a_client_is_bad_usage(
    medward: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, str]
) -> None:
    monkeypatch.setattr("medward.bench.ledger.measures.measure_all", lambda *_: iter(()))
    done = medward("bench", "ledger", *words)
    assert (done.code, done.out) == (2, "")
    assert words[0] in done.err
    assert "Traceback" not in done.err
