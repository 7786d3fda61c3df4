"""What node.toml says of a member that computes on ciphertexts."""

import pytest

from medward.node.computing.settings import ComputingSettings, read_computing_settings
from medward.node.errors import InvalidConfiguration


def test_member_computes_for_nobody_and_takes_no_insecure_ring_unless_it_is_told_to() -> None:
    assert read_computing_settings({}) == ComputingSettings(compute=False, insecure_ring_for_tests=False)
    assert read_computing_settings({"compute": True}).compute


@pytest.mark.parametrize("setting", ["compute", "insecure_ring_for_tests"])
@pytest.mark.parametrize("value", ["false", 0, None, []])
def test_setting_that_is_neither_true_nor_false_is_refused(setting: str, value: object) -> None:
    with pytest.raises(InvalidConfiguration, match=rf"node.toml, \[participant\]: Expected `bool`.*{setting}"):
        read_computing_settings({setting: value})


def test_key_that_nobody_reads_is_a_mistake() -> None:
    with pytest.raises(InvalidConfiguration, match="unknown field `computes`"):
        read_computing_settings({"computes": True})
