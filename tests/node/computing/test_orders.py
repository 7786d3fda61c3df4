"""An order that a node put aside is told once, with the node's own sentence."""

from pathlib import Path

import pytest

from medward.node.computing.orders import check_not_refused, refusal_of
from medward.node.errors import NodeError


def test_sentence_of_an_order_that_was_put_aside_is_told_once_and_of_no_other(tmp_path: Path) -> None:
    order, other = tmp_path / "flows" / "a.npz", tmp_path / "flows" / "b.npz"
    check_not_refused(tmp_path, order)
    refusal_of(tmp_path, order).write_text("there is no offer 00000007 für Sie\n", encoding="utf-8")
    check_not_refused(tmp_path, other)
    with pytest.raises(NodeError, match=r"^there is no offer 00000007 für Sie$"):
        check_not_refused(tmp_path, order)
    check_not_refused(tmp_path, order)
    assert not list(tmp_path.iterdir())
