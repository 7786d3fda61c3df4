"""A member that the federation knows by other keys neither votes nor answers."""

import msgspec
import pytest

from medward.ledger.types import Member
from medward.node.errors import Retired
from medward.node.home.folder import Home
from medward.node.ledger.pbft import check_not_replaced


def member(homes: dict[str, Home], name: str) -> Member:
    return homes[name].card().member


def renamed(own: Member, **changes: object) -> Member:
    return type(own)(**{field: changes.get(field, getattr(own, field)) for field in own.__struct_fields__})


def test_member_that_the_federation_knows_is_none_that_was_replaced(homes: dict[str, Home]) -> None:
    north, south = (member(homes, name) for name in ("north", "south"))
    check_not_replaced(north, (north, south))
    check_not_replaced(north, (south,))
    check_not_replaced(north, ())


@pytest.mark.parametrize(("known", "own", "replaced"), [(1, 0, True), (0, 0, True), (0, 1, False)])
def test_other_keys_of_as_late_an_incarnation_replace_it(
    homes: dict[str, Home], known: int, own: int, replaced: bool
) -> None:
    north, south = (member(homes, name) for name in ("north", "south"))
    other = renamed(south, name="north", incarnation=known)
    mine = renamed(north, incarnation=own)
    if not replaced:
        check_not_replaced(mine, (other,))
        return
    with pytest.raises(Retired, match=f"by the keys of incarnation {known}, and this home has others"):
        check_not_replaced(mine, (other,))


def test_newer_keys_of_the_same_member_retire_these(homes: dict[str, Home]) -> None:
    mine = homes["north"].card().member
    others = (mine, member(homes, "south"))
    check_not_replaced(mine, others)
    check_not_replaced(mine, others[1:])
    newer = homes["north"].renew(1).member
    with pytest.raises(Retired, match="incarnation 1, and this home has others, of incarnation 0"):
        check_not_replaced(mine, (newer, others[1]))
    check_not_replaced(newer, others)  # one that is not admitted yet
    twin = msgspec.structs.replace(newer, incarnation=0)
    with pytest.raises(Retired):
        check_not_replaced(mine, (twin,))
