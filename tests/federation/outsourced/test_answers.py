"""What a member does next, which blobs it needs, and what shares open."""

from dataclasses import replace

import msgspec
import pytest

from medward.federation.computing.records import KeyPublished
from medward.federation.outsourced.answers import blobs_of
from medward.federation.outsourced.records import (
    TableEncrypted,
    TaskDeclined,
)
from medward.federation.outsourced.terms import BadOutsourcing
from medward.fhe.computing.formats.opened_products import write_shares
from medward.fhe.computing.inner_product_opening import OpenedShares
from tests.federation.outsourced.world import (
    COHORT,
    PLAN,
    TASK,
    TERMS,
    encrypted_ward,
    name,
    opened_ward,
    secret_of,
    table_of,
)


def test_shares_of_another_task_or_owner_open_nothing() -> None:
    """Shares name the list that they open; the same result opened again has the same list and other shares."""
    ward = opened_ward()
    old = dict(ward.kept)
    products = ward.products(TASK)
    other = replace(products, constants=(products.constants[0] + 1, *products.constants[1:]))
    wrong = write_shares(OpenedShares(secret_of("south").owner, other.digest, (1,) * TERMS.numbers), TERMS.products)
    for content, match in ((wrong, "of another opening"), (old["north"], "revealed shares of north")):
        task = ward.state.tasks[TASK]
        said = tuple((owner, ward.put(content) if owner == "south" else blob) for owner, blob in task.commitments)
        weird = replace(ward, state=replace(ward.state, tasks={TASK: msgspec.structs.replace(task, commitments=said)}))
        with pytest.raises(BadOutsourcing, match=match):
            weird.numbers(TASK)


def test_blobs_are_needed_as_long_as_they_are_on_record() -> None:
    ward = encrypted_ward(*COHORT)
    number = ward.ask()
    tables = {name(table_of(member)) for member in COHORT}
    always = {name("plan"), *map(name, COHORT)}  # the plan's public part and the keys
    assert blobs_of(ward.state) == tables | always
    ward.compute(number, "north", "west")
    ward.commit(number, *COHORT)
    shares = {name(ward.kept[member]) for member in COHORT}
    assert blobs_of(ward.state) == tables | shares | always | {ward.true_result()}
    ward.order("south", TaskDeclined(number, "no"))
    assert blobs_of(ward.state) == tables | always
    # What names the blob of another's key, and is gone, takes it along nowhere.
    ward.order("west", KeyPublished(name("west"), secret_of("west").owner, 1024))
    ward.order("west", TableEncrypted(PLAN, name("south"), 100))
    ward.order("west", TableEncrypted(PLAN, name("own rows"), 100))
    assert name("south") in blobs_of(ward.state)
