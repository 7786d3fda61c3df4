"""From answers to the sum: any t good ones are enough, wrong ones never give a wrong sum, nobody honest is named."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.fhe import reconstruction
from medward.fhe.errors import MalformedEncoding
from medward.fhe.parameters import AUDITS, DEGREE
from medward.fhe.ring import polynomials
from tests.fhe.world import World

WORLDS = {n: World(n, values=300) for n in (4, 7, 10, 16)}


def _spoiled(world: World, answers: dict[int, np.ndarray], liars: tuple[int, ...], seed: int) -> dict[int, np.ndarray]:
    generator = np.random.default_rng(seed)
    out = dict(answers)
    for j in liars:
        p = world.parameters.prime
        noise = generator.integers(-(p // 2), p // 2, DEGREE + AUDITS).astype(float)
        out[j] = polynomials.balance(out[j] + (noise if seed % 2 else np.clip(noise, -5, 5)), p)
    return out


@pytest.mark.parametrize("n", [4, 7, 10])
def test_every_set_of_t_answers_gives_the_exact_sum(n: int) -> None:
    world = WORLDS[n]
    answers = world.answers()
    for chosen in list(combinations(world.holders, world.parameters.threshold))[:60]:
        found = world.reconstruct({j: answers[j] for j in chosen})
        assert found is not None
        assert np.array_equal(found.secret, world.secret())
        assert found.wrong == ()
    assert np.array_equal(world.decrypt(world.secret()), world.total())


def test_fewer_than_t_answers_give_nothing() -> None:
    for world in WORLDS.values():
        answers = world.answers(world.holders[1 : world.parameters.threshold])
        assert len(answers) == world.parameters.threshold - 1
        assert world.reconstruct(answers) is None


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(WORLDS)), st.data())
def test_silent_and_wrong_holders_up_to_f_never_change_the_sum(n: int, data: st.DataObject) -> None:
    world = WORLDS[n]
    f = world.parameters.faulty_holders
    bad = data.draw(st.lists(st.sampled_from(world.holders), max_size=f, unique=True))
    silent = set(data.draw(st.lists(st.sampled_from(bad), unique=True))) if bad else set()
    wrong = tuple(j for j in bad if j not in silent)
    answers = _spoiled(world, world.answers(), wrong, data.draw(st.integers(0, 99)))
    found = world.reconstruct({j: a for j, a in answers.items() if j not in silent})
    assert found is not None
    assert np.array_equal(found.secret, world.secret())
    assert set(found.wrong) <= set(wrong)
    if not silent:
        assert set(found.wrong) == set(wrong)


def test_more_wrong_answers_than_f_leave_no_sum_rather_than_a_wrong_one() -> None:
    for n in (4, 7):
        world = WORLDS[n]
        liars = world.holders[: world.parameters.faulty_holders + 1]
        assert world.reconstruct(_spoiled(world, world.answers(), liars, 1)) is None


def test_order_in_which_answers_came_does_not_matter() -> None:
    world = WORLDS[10]
    answers = _spoiled(world, world.answers(), (1, 5), 3)
    one, other = (world.reconstruct(dict(order)) for order in (answers.items(), reversed(answers.items())))
    assert one is not None
    assert other is not None
    assert np.array_equal(one.secret, other.secret)
    assert one.wrong == other.wrong == (1, 5)


def test_subsets_are_tried_in_the_same_order_by_everybody() -> None:
    world = World(40, values=10)
    answers = world.answers(world.holders[:35], cohort=(1, 2))
    orders = [list(reconstruction._subsets(world.context, a)) for a in (answers, dict(reversed(answers.items())))]
    assert orders[0] == orders[1]
    assert len(orders[0]) == reconstruction.MOST_SUBSETS
    assert orders[0][0] == tuple(range(27))
    assert len(set(orders[0])) > 990
    assert all(len(set(s)) == 27 and s == tuple(sorted(s)) for s in orders[0])


def test_few_wrong_answers_of_many_holders_are_found_without_an_audit() -> None:
    world = World(40, values=10)
    for wrong in ((1,), (3, 30)):
        found = world.reconstruct(_spoiled(world, world.answers(), wrong, 1))
        assert found is not None
        assert np.array_equal(found.secret, world.secret())
        assert set(found.wrong) <= set(wrong)


def test_audit_finds_every_wrong_answer_and_no_other() -> None:
    for n, liars in ((4, (2,)), (7, (1, 7)), (16, (1, 2, 3, 4, 5))):
        world = WORLDS[n]
        answers = _spoiled(world, world.answers(), liars, 1)
        good = world.audit(b"after the answers", answers)
        assert good == tuple(j for j in world.holders if j not in liars)


def test_answer_with_a_false_mask_of_the_audit_alone_is_found_there() -> None:
    world = WORLDS[7]
    answers = world.answers()
    answers[3][DEGREE + 1] += 1
    found = world.reconstruct(answers)
    assert found is not None
    assert np.array_equal(found.secret, world.secret())
    assert world.audit(b"x", answers) == (1, 2, 4, 5, 6, 7)


def test_answers_have_one_encoding() -> None:
    world = WORLDS[4]
    answers = world.answers([1])
    data = reconstruction.answer(world.context, [answers[1]])
    assert len(data) == reconstruction.answer_bytes()
    assert np.array_equal(reconstruction.read_answer(world.context, data), answers[1])
    for wrong in (data[:-1], data + b"\0", data[:8] + bytes(16) + data[24:], data[:24] + b"\xff" * (len(data) - 24)):
        with pytest.raises(MalformedEncoding):
            reconstruction.read_answer(world.context, wrong)


def test_sums_of_a_part_of_the_contributors_are_exact() -> None:
    world = World(4, values=100, contributors=9)
    cohort = (2, 3, 5, 7, 9)
    found = world.reconstruct(world.answers(cohort=cohort), cohort)
    assert found is not None
    assert np.array_equal(world.decrypt(found.secret, cohort), world.total(cohort))
