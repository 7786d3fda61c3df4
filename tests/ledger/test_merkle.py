import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.ledger import merkle
from medward.ledger.errors import InvalidProof
from medward.ledger.merkle import EMPTY, MerkleMap, MerkleProof, verify_proof

KEYS = st.binary(max_size=3)
CONTENT = st.dictionaries(KEYS, st.binary(max_size=8), max_size=40)


def build(content):
    tree = MerkleMap()
    for key, value in content.items():
        tree = tree.set(key, value)
    return tree


@given(CONTENT, st.lists(st.tuples(KEYS, st.none() | st.binary(max_size=8)), max_size=40))
def test_it_holds_what_a_dictionary_holds(content, changes):
    tree, model = build(content), dict(content)
    for key, value in changes:
        if value is None:
            tree = tree.delete(key)
            model.pop(key, None)
        else:
            tree = tree.set(key, value)
            model[key] = value
    assert dict(tree.items()) == model
    assert len(tree) == len(model)
    assert tree.root == build(model).root


@given(CONTENT, st.randoms(use_true_random=False))
def test_the_root_does_not_depend_on_the_order_of_insertion(content, random):
    shuffled = list(content.items())
    random.shuffle(shuffled)
    assert build(dict(shuffled)).root == build(content).root


@given(CONTENT, CONTENT)
def test_different_contents_have_different_roots(one, other):
    assert (build(one).root == build(other).root) == (one == other)


@given(CONTENT, KEYS)
def test_every_answer_is_proved_and_no_other_answer_is(content, key):
    tree = build(content)
    proof, value = tree.prove(key), content.get(key)
    verify_proof(tree.root, key, value, proof)
    for wrong in (None, b"", b"other", (value or b"") + b"x"):
        if wrong != value:
            with pytest.raises(InvalidProof):
                verify_proof(tree.root, key, wrong, proof)


@given(CONTENT.filter(bool), st.data())
def test_a_proof_is_worth_nothing_for_another_key(content, data):
    tree = build(content)
    present = data.draw(st.sampled_from(sorted(content)))
    absent = data.draw(KEYS.filter(lambda key: key not in content))
    with pytest.raises(InvalidProof):
        verify_proof(tree.root, absent, content[present], tree.prove(present))
    with pytest.raises(InvalidProof):
        verify_proof(tree.root, present, None, tree.prove(absent))


def test_an_old_version_keeps_its_content():
    old = build({b"a": b"1"})
    root = old.root
    new = old.set(b"a", b"2").set(b"b", b"3")
    assert (old.get(b"a"), old.root, new.get(b"a")) == (b"1", root, b"2")


def test_absence_in_the_empty_map_is_proved():
    verify_proof(EMPTY, b"a", None, MerkleProof((), None, None))


@given(CONTENT, CONTENT)
def test_many_changes_at_once_are_the_same_changes(content, changes):
    together = build(content).update(changes)
    assert together.root == build(content | changes).root
    assert dict(together.items()) == content | changes
    assert len(together) == len(content | changes)


@given(st.lists(st.tuples(CONTENT, st.booleans()), max_size=8))
def test_when_roots_are_asked_for_changes_none_of_them(changes):
    tree, model, versions = MerkleMap(), {}, []
    for content, asked in changes:
        tree, model = tree.update(content), {**model, **content}
        versions.append((tree, model))
        if asked:
            assert tree.root == build(model).root
    for version, content in reversed(versions):
        assert all(version.get(key) == value for key, value in content.items())
        assert (dict(version.items()), version.root, len(version)) == (content, build(content).root, len(content))


def test_what_changes_often_is_hashed_once_when_somebody_asks(monkeypatch):
    hashed = []
    monkeypatch.setattr(merkle, "_leaf_digest", lambda key, value: hashed.append((key, value)) or bytes(32))
    tree = MerkleMap()
    for turn in range(10):
        tree = tree.update({b"one": bytes([turn]), b"other": bytes([turn])})
    assert hashed == []
    _ = tree.root
    assert sorted(hashed) == [(b"one", b"\x09"), (b"other", b"\x09")]


def test_no_more_waits_to_be_hashed_than_takes_a_moment(monkeypatch):
    monkeypatch.setattr(merkle, "_MOST_LATE", 16)
    tree = MerkleMap()
    for number in range(100):
        before = len(tree._late)
        tree = tree.update({bytes([number]): b""})
        assert len(tree._late) <= 16
        assert tree._late or before == 16
    assert tree.root == build({bytes([number]): b"" for number in range(100)}).root
