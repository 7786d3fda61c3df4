"""The paths that the pages list are short, and all that they name is there."""

import pytest

from tests.paths import FLOW, UPDATE, functions_of


@pytest.mark.parametrize(("path", "most"), [(UPDATE, 12), (FLOW, 8)])
def test_path_has_few_files_and_every_function_is_in_its_own(path: list[tuple[str, str]], most: int) -> None:
    assert 5 < len({file for file, _ in path}) <= most
    for file, name in path:
        assert name in functions_of(file), f"{file} has no {name}"
