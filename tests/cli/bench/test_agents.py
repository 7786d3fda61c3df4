"""`medward bench agents` as a person or a script calls it."""

import pytest

from tests.cli.conftest import Run


@pytest.mark.parametrize("option", ["--updates", "--repeats"])
@pytest.mark.parametrize("value", ["0", "-3", "many"])
def test_a_number_that_measures_nothing_is_bad_usage(medward: Run, option: str, value: str) -> None:
    done = medward("bench", "agents", option, value)
    assert (done.code, done.out) == (2, "")
    assert option in done.err
    assert "Traceback" not in done.err
