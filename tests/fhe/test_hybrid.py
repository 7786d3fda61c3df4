"""Sealing: a box opens for its receiver under its label; keys that nothing can be sealed to are found."""

import pytest

from medward.fhe.hybrid import OVERHEAD, PUBLIC_BYTES, HybridKey, check_public, seal

KEY = HybridKey()


def test_box_opens_for_its_receiver_under_its_label_alone() -> None:
    box = seal(KEY.public, b"content", b"label")
    assert len(box) == OVERHEAD + 7
    assert HybridKey.from_bytes(KEY.to_bytes()).unseal(box, b"label") == b"content"
    for key, label in ((KEY, b"other"), (HybridKey(), b"label")):
        with pytest.raises(ValueError, match="not sealed"):
            key.unseal(box, label)


def test_ephemeral_key_comes_from_the_coins() -> None:
    boxes = [seal(KEY.public, b"content", b"label", bytes([k]) * 32) for k in (1, 1, 2)]
    assert boxes[0][:32] == boxes[1][:32] != boxes[2][:32]
    assert boxes[0][32:] != boxes[1][32:]  # ML-KEM draws its own coins
    assert all(KEY.unseal(box, b"label") == b"content" for box in boxes)


def test_every_changed_byte_closes_the_box() -> None:
    box = seal(KEY.public, b"content", b"label")
    for place in (0, 31, 32, 700, 1119, 1120, 1126, len(box) - 1):
        changed = box[:place] + bytes([box[place] ^ 1]) + box[place + 1 :]
        with pytest.raises(ValueError, match=r"."):
            KEY.unseal(changed, b"label")


LOW_ORDER = [
    bytes(32),
    (1).to_bytes(32, "little"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    (2**255 - 20).to_bytes(32, "little"),
    (2**255 - 19).to_bytes(32, "little"),
    (2**255 - 18).to_bytes(32, "little"),
]


@pytest.mark.parametrize("point", LOW_ORDER)
def test_points_of_low_order_are_refused(point: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        check_public(point + KEY.public[32:])


def test_malformed_keys_are_refused() -> None:
    check_public(KEY.public)
    for wrong in (b"", KEY.public[:-1], KEY.public + b"\0", KEY.public[:32] + b"\xff" * (PUBLIC_BYTES - 32)):
        with pytest.raises(ValueError, match=r"."):
            check_public(wrong)
