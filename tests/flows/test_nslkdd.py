"""The files of NSL-KDD: which are of the official test, which have no header, and which repeat others."""

from pathlib import Path

import pytest

from medward.flows.datasets import NSLKDD


def test_files_of_nsl_kdd_are_told_by_their_names() -> None:
    train, test = (NSLKDD.describe(Path(name)) for name in ("KDDTrain+.txt", "KDDTest+.csv.gz"))
    assert (train.official, test.official) == (0, 1)
    assert train.header is not None
    assert len(train.header) == 43
    assert test.header is None
    assert (train.name, test.name) == ("KDDTrain+", "KDDTest+")


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        (["KDDTrain+.txt", "KDDTrain+_20Percent.txt", "KDDTest+.txt", "KDDTest-21.txt"], [0, 2]),
        (["KDDTrain+_20Percent.txt", "KDDTest-21.txt"], [0, 1]),
        (["KDDTrain+.txt", "KDDTest-21.txt"], [0, 1]),
        ([], []),
    ],
)
def test_excerpts_are_left_out_where_the_whole_is_there(names: list[str], kept: list[int]) -> None:
    paths = [Path(name) for name in names]
    assert NSLKDD.choose(paths) == [paths[place] for place in kept]
