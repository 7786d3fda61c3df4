"""What an operator leaves for its node, and what the node lets go."""

from pathlib import Path

import numpy as np
import pytest

from medward.federation.outsourced.records import MOST_DEADLINE
from medward.ledger.encoding import decode
from medward.node.errors import NodeError
from medward.node.outsourced.folder import OutsourcedFolder
from medward.node.outsourced.orders import TaskFile, carried_out, leave_rows, leave_task


def test_order_waits_until_the_node_has_carried_it_out(tmp_path: Path) -> None:
    folder = OutsourcedFolder(tmp_path)
    order = leave_task(folder, "00000001", ["south", "east", "north"], 5000)
    assert decode(order.read_bytes(), TaskFile).owners == ("east", "north", "south")
    assert carried_out(folder, order) is None
    order.unlink()
    (folder.folder / f"{order.stem}.done").write_text("00000007\n")
    assert carried_out(folder, order) == "00000007"
    refused = leave_rows(folder, "00000001", np.zeros((2, 3), np.int64))
    assert refused.stat().st_mode & 0o077 == 0
    refused.unlink()
    (folder.folder / f"{refused.stem}.refused").write_text("there is no plan 00000001\n")
    with pytest.raises(NodeError, match="there is no plan 00000001"):
        carried_out(folder, refused)
    assert not list(folder.folder.glob("*.refused"))


def test_deadline_out_of_its_range_is_refused(tmp_path: Path) -> None:
    for deadline in (0, MOST_DEADLINE + 1):
        with pytest.raises(NodeError, match="90 days"):
            leave_task(OutsourcedFolder(tmp_path), "00000001", [], deadline)
