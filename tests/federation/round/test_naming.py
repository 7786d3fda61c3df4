"""The blobs of a round: everybody who named one is found, and each has the lengths of what it was named as."""

from dataclasses import replace

from medward.federation.records import Attest, Submit
from medward.federation.round.naming import authors_of, sizes_of
from medward.federation.sums.plain import PlainSum
from tests.federation.round.rounds import answering, begun, checking

SUMS = PlainSum("a")


def test_every_blob_of_a_round_has_its_author_and_its_size() -> None:
    state = replace(
        answering(),
        answers={"c": "answer-c"},
        shown={"d": "shown-d"},
        verdicts={"a": Attest(5, "a", (), (), ("d",))},
        accusations={"d": {"a": "share-a"}},
    )
    authors, sizes = authors_of(state), sizes_of(state, SUMS)
    named = {f"{kind}-{member}": (member,) for kind in ("blob", "response") for member in "abcd"}
    assert authors == {**named, "answer-c": ("c",), "shown-d": ("d",), "share-a": ("a",)}
    assert sizes["blob-b"] == (len(b"b\n") + 8 * 4,)
    assert sizes["shown-d"] == (len(SUMS.show(state.sum_terms, ["a"])),)
    assert sizes["answer-c"] == (len(SUMS.answer(state.sum_terms, "abcd")),)
    assert set(sizes) == set(authors)


def test_blob_that_a_liar_names_too_has_both_authors_and_both_lengths() -> None:
    """An honest contribution that another member calls its response is not lost, nor is the liar hidden."""
    state = replace(checking(), submissions={"a": Submit(5, "a", "x", "y"), "b": Submit(5, "b", "z", "x")})
    assert authors_of(state)["x"] == ("a", "b")
    contribution, response = sizes_of(state, SUMS)["x"]
    assert contribution != response
    assert sizes_of(state, SUMS)["z"] == (contribution,)


def test_blob_that_one_member_names_twice_has_one_author_and_equal_lengths_are_told_once() -> None:
    state = replace(checking(), submissions={"a": Submit(5, "a", "x", "x"), "b": Submit(5, "b", "x", "y")})
    assert authors_of(state)["x"] == ("a", "b")
    assert len(sizes_of(state, SUMS)["x"]) == 2


def test_round_that_begins_has_named_nothing() -> None:
    assert authors_of(begun()) == sizes_of(begun(), SUMS) == {}
