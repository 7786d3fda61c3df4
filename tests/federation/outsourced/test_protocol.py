"""Encrypted rows of three hospitals lead to the model of their pooled rows; attacks on the opening lead to nothing."""

import io
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from medward.agents.closed_form.features import inputs_of
from medward.agents.closed_form.moments import moments_of
from medward.agents.sentinel.judgement import judge
from medward.federation.computing.preparation import write_preparation
from medward.federation.errors import RecordRefused
from medward.federation.outsourced import rules, training
from medward.federation.outsourced.records import (
    SharesCommitted,
    TaskDeclined,
    TaskEnded,
)
from medward.federation.outsourced.training import (
    read_plan,
    trained_model,
)
from medward.fhe.computing.context import computing_context
from medward.fhe.computing.formats.encrypted_tables import read_table, write_parts
from medward.fhe.computing.formats.opened_products import read_shares, write_product_list, write_shares
from medward.fhe.computing.inner_product_opening import ProductList
from medward.fhe.computing.inner_products import first_coefficient
from tests.federation.outsourced.world import (
    COHORT,
    DEADLINE,
    MEMBERS,
    PLAN,
    TASK,
    TERMS,
    Ward,
    added_rows,
    columns_of,
    encrypted_ward,
    name,
    opened_ward,
    plain_numbers,
    secret_of,
    table_of,
    toy_data,
    toy_plan,
    works,
)


def test_model_is_that_of_pooled_plain_rows_bit_for_bit() -> None:
    ward = opened_ward()
    numbers = ward.numbers(TASK)
    assert numbers == plain_numbers(*COHORT)
    data, plan = toy_data(), read_plan(write_preparation(toy_plan()), TERMS)
    counts = [len(columns_of(member)) for member in COHORT]
    model = trained_model(plan, TERMS, numbers, counts)
    # The same of the rows in one place, by the code of the sum in plain.
    rows = np.concatenate([added_rows(member) for member in COHORT])
    states = training._states(plan.space, plan.scaler, TERMS)
    pooled = moments_of(states, inputs_of(plan.scaler, data.x[rows]), data.flows.y[rows], TERMS.classes)
    assert pooled.packed().tolist() == numbers
    in_place = trained_model(plan, TERMS, pooled.packed().tolist(), counts)
    assert model.files() == in_place.files()
    test = data.split.test
    assert judge(model, data.x[test], data.flows.y[test]).metrics["binary"]["macro_f1"] > 0.7
    assert (model.provenance.protect, model.provenance.sites) == ("outsourced", 3)


def test_steps_come_in_their_order_and_an_owner_is_needed_only_to_open() -> None:
    ward = encrypted_ward(*COHORT)
    number = ward.ask()
    assert works(ward, "south", computes=False) == []
    assert works(ward, "west") == ["compute"]
    ward.compute(number, "west")
    assert works(ward, "west") == []
    assert works(ward, "south", computes=False) == []
    ward.compute(number, "north")
    assert works(ward, "south", computes=False) == works(ward, "south") == ["commit"]
    ward.commit(number, *COHORT[:2])
    assert works(ward, "east") == []
    ward.commit(number, COHORT[2])
    assert all(works(ward, member) == ["reveal"] for member in COHORT)
    ward.reveal(number, *COHORT)
    assert all(works(ward, member) == ["combine"] for member in MEMBERS)
    assert {member: key.opened for member, key in ward.state.keys.items()} == dict.fromkeys(COHORT, 1)


def crafted_result(ward: Ward, victim: str) -> str:
    """A list that has the form of a result and opens one hospital's own rows: each entry is a row of its first column.

    c_1 of the column's block times X^-r, times Delta, has the r-th row in coefficient 0, Delta^2 times.
    """
    products, secret = TERMS.products, secret_of(victim)
    rows = len(columns_of(victim))
    table = read_table(io.BytesIO(table_of(victim)), products, secret.owner, rows, TERMS.table_columns)
    (first, _) = next(iter(table))
    ring = computing_context(TERMS.parameters).ring
    at, degree = slice(0, TERMS.parameters.top), TERMS.parameters.degree
    constants, parts = [], []
    for entry in range(TERMS.numbers):
        shift = np.zeros(degree, np.int64)
        shift[(-entry) % degree] = 1 if entry % degree == 0 else -1
        monomial = ring.embed(np.stack([np.zeros_like(shift), shift]), 1 << products.scale_bits, at)
        c0, c1 = (ring.multiply(part, monomial, at) for part in first.blocks.parts[0])
        constants.append(first_coefficient(products, c0.copy()))
        parts.append(c1)
    names = []
    for member in COHORT:
        file = io.BytesIO()
        mine = parts if member == victim else [np.zeros_like(parts[0])] * len(parts)
        write_parts(file, products, secret_of(member).owner, mine, TERMS.numbers)
        names.append(ward.put(file.getvalue()))
    owners = tuple(secret_of(member).owner for member in COHORT)
    return ward.put(write_product_list(ProductList(products, owners, tuple(constants), tuple(names))))


def test_crafted_result_of_f_members_is_opened_by_nobody() -> None:
    """It opens one hospital's own rows, where one word is enough; with the rule no owner is bound to it."""
    ward = encrypted_ward(*COHORT)
    number = ward.ask()
    crafted = crafted_result(ward, "south")
    ward.compute(number, "west", result=crafted)
    # Who asked has no say: the liar and the asker together are two members, and too few.
    ward.compute(number, "east", result=crafted)
    assert ward.state.tasks[number].agreed == ""
    assert works(ward, "south", computes=False) == []
    with pytest.raises(RecordRefused, match="2 members have not computed this result"):
        ward.order("south", SharesCommitted(number, crafted, name("shares")))
    ward.compute(number, "north", "south")
    assert ward.state.tasks[number].agreed == ward.true_result()


def test_crafted_result_opens_a_hospitals_rows_where_one_word_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "stands", lambda results, result, asker, faulty: True)
    ward = encrypted_ward(*COHORT)
    number = ward.ask()
    ward.compute(number, "west", result=crafted_result(ward, "south"))
    ward.commit(number, *COHORT)
    ward.reveal(number, *COHORT)
    rows = columns_of("south")[:, 0].tolist()
    assert ward.numbers(number)[: len(rows)] == rows


def test_no_share_is_shown_before_all_owners_are_bound_to_theirs() -> None:
    """Whoever sees the others' shares first makes the result what it likes, and is not told from an honest one."""
    ward = encrypted_ward(*COHORT)
    number = ward.ask()
    ward.compute(number, "north", "west")
    ward.commit(number, "east", "north")
    with pytest.raises(RecordRefused, match=r"not all owners .* are bound to their shares"):
        ward.reveal(number, "east")
    ward.commit(number, "south")
    ward.reveal(number, "east", "north")
    # What south shows now is what it was bound to: another blob has another name.
    honest = msgspec.structs.replace(ward.state.tasks[number])
    with pytest.raises(RecordRefused, match="is bound to its shares"):
        ward.order("south", SharesCommitted(number, honest.agreed, name("others")))
    ward.reveal(number, "south")
    assert ward.numbers(number) == plain_numbers(*COHORT)


def test_owner_that_chooses_its_share_last_makes_the_sum_what_it_likes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same without the commitment: the count of one class comes out as south wants it."""
    ward = encrypted_ward(*COHORT)
    number = ward.ask()
    ward.compute(number, "north", "west")
    ward.commit(number, *COHORT)
    ward.reveal(number, "east", "north")
    honest = read_shares(TERMS.products, ward.kept["south"])
    known = plain_numbers(*COHORT)  # what south learns from the others' shares and its own
    moved = honest.shares[0] + (1000 - known[0]) * 4**TERMS.products.scale_bits
    wanted = write_shares(replace(honest, shares=(moved, *honest.shares[1:])), TERMS.products)
    task = ward.state.tasks[number]
    last = tuple((owner, ward.put(wanted) if owner == "south" else blob) for owner, blob in task.commitments)
    ward.state = replace(ward.state, tasks={number: msgspec.structs.replace(task, commitments=last, revealed=COHORT)})
    assert ward.numbers(number)[0] == 1000


def test_owner_that_withholds_its_share_is_named_and_the_cohort_counts_as_summed() -> None:
    ward = encrypted_ward()
    number = ward.ask()
    ward.compute(number, "north", "west")
    ward.commit(number, *COHORT)
    ward.reveal(number, "east", "north")
    ward.time += DEADLINE
    assert works(ward, "west", now=ward.time) == ["end"]
    with pytest.raises(RecordRefused, match="the time of task 00000001 is over"):
        ward.reveal(number, "south")
    ward.order("west", TaskEnded(number))
    assert ward.state.tasks[number].ended == "south withheld the shares that all owners had committed to"
    assert ward.state.plans[PLAN].cohorts == (COHORT,)
    # south knows the sum: with one more hospital in the next, it would know west's alone.
    with pytest.raises(RecordRefused, match="tell of fewer than 3 owners"):
        ward.ask(MEMBERS)
    again = ward.ask()
    assert (again, ward.state.keys["south"].opened) == ("00000002", 1)


def test_withholder_learns_one_hospitals_moments_where_its_cohort_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The weakened rule: a void task counts for nothing, so that a cohort with west may be summed after it."""
    monkeypatch.setattr(rules, "added", lambda known, cohort: known)
    ward = encrypted_ward()
    number = ward.ask()
    ward.compute(number, "north", "west")
    ward.commit(number, *COHORT)
    ward.reveal(number, "east", "north")
    own = {**ward.blobs, name(ward.kept["south"]): ward.kept["south"]}
    known = Ward(ward.state, own).numbers(number)  # with the share that south shows to nobody
    ward.time += DEADLINE
    ward.order("west", TaskEnded(number))
    again = ward.ask(MEMBERS)
    ward.compute(again, "north", "west")
    ward.commit(again, *MEMBERS)
    ward.reveal(again, *MEMBERS)
    difference = np.array(ward.numbers(again)) - np.array(known)
    assert difference.tolist() == plain_numbers("west")


def test_declining_after_others_have_shown_theirs_is_withholding() -> None:
    ward = encrypted_ward()
    number = ward.ask()
    ward.compute(number, "north", "west")
    ward.commit(number, *COHORT)
    ward.reveal(number, "east", "north")
    ward.order("south", TaskDeclined(number, "no"))
    assert ward.state.tasks[number].ended == "south declined: no"
    with pytest.raises(RecordRefused, match="tell of fewer"):
        ward.ask(MEMBERS)
