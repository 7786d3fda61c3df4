"""Evaluation keys on record: each is its member's, and made for this federation."""

import pytest

from medward.federation.computing.evaluation_keys import WrongKey, most_key_bytes, read_published_key
from medward.federation.computing.records import KeyPublished
from medward.fhe.computing.formats.keys import write_evaluation_key
from medward.fhe.computing.keys import SecretKey
from medward.fhe.computing.parameters import computing_parameters
from medward.fhe.errors import MalformedEncoding

SET = computing_parameters(256, 96, 1, 2, for_tests=True)
LABEL = b"this federation"


@pytest.mark.parametrize("conjugation", [False, True])
def test_published_key_is_read_and_no_longer_than_the_most(conjugation: bool) -> None:
    secret = SecretKey("north", SET, LABEL)
    data = write_evaluation_key(secret.evaluation_key(conjugation=conjugation))
    assert len(data) <= most_key_bytes(SET)
    key = read_published_key(KeyPublished("b", secret.owner, 1024), "north", SET, LABEL, data)
    assert (key.owner, key.label) == (secret.owner, LABEL)


def test_key_of_another_owner_federation_or_shape_is_none() -> None:
    secret = SecretKey("north", SET, LABEL)
    data = write_evaluation_key(secret.evaluation_key())
    for holder, label in (("north/0000000000000000", LABEL), (secret.owner, b"another federation")):
        with pytest.raises(WrongKey, match="the evaluation key of north is of another owner or federation"):
            read_published_key(KeyPublished("b", holder, 1024), "north", SET, label, data)
    for garbage in (b"", data[:-1], data + b"0"):
        with pytest.raises(MalformedEncoding):
            read_published_key(KeyPublished("b", secret.owner, 1024), "north", SET, LABEL, garbage)
