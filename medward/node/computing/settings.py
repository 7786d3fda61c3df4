"""The `[participant]` table of node.toml of a member that computes on ciphertexts."""

from collections.abc import Mapping
from typing import Any

import msgspec

from medward.node.errors import InvalidConfiguration


class ComputingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a member that computes on ciphertexts is told by its operator.

    Args:
        compute: whether it computes for others.
        insecure_ring_for_tests: whether it takes part in a ring that is not secure.
    """

    compute: bool = False
    insecure_ring_for_tests: bool = False


def read_computing_settings(table: Mapping[str, Any]) -> ComputingSettings:
    """Read the `[participant]` table.

    Raises:
        InvalidConfiguration: a key is unknown, or of another kind than expected.
    """
    try:
        return msgspec.convert(dict(table), ComputingSettings)
    except msgspec.ValidationError as error:
        raise InvalidConfiguration(f"node.toml, [participant]: {error}") from None
