import time

import pytest

from medward.cli._console import waiting


def test_command_that_waits_says_so_and_a_quick_one_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with waiting("nothing"):
        pass
    assert capsys.readouterr().err == ""
    with waiting("the ledger to order it"):
        time.sleep(2.4)
    told = capsys.readouterr()
    assert told.err == "waiting for the ledger to order it: 2 s\n"
    assert told.out == ""
