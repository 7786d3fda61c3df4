"""tools/mutants.py: its table fits the code, a check that nothing notices is told of, and the kept run killed all."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "tools" / "mutants" / "kept.json"


@pytest.fixture(scope="module")
def tool():
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        spec = importlib.util.spec_from_file_location("mutants", ROOT / "tools" / "mutants.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules["mutants"] = module
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(ROOT / "tools"))
        del sys.modules["mutants"]


@pytest.fixture
def small_tree(tmp_path):
    """A project with a check of sizes, which a test notices, and one of colours, which none does."""
    source = "def accepts(size, colour):\n    if size > 3:\n        return False\n    return colour != 'red'\n"
    (tmp_path / "shop.py").write_text(source)
    test = "from shop import accepts\n\n\ndef test_large():\n    assert not accepts(4, 'blue')\n"
    (tmp_path / "test_shop.py").write_text(test)
    return tmp_path


def mutant(tool, old, new, name="size"):
    return tool.Mutant(name, "shop.md", "shop.py", old, new, ("test_shop.py::test_large",))


def test_every_check_of_the_table_is_in_its_file_once_and_has_tests_that_are_there(tool):
    table = tool.read_table()
    assert tool.misplaced(table, ROOT) == []
    assert len(table) >= 100
    named = {test.partition("[")[0] for mutant in table for test in mutant.tests}
    for test in named:
        path, *names = test.split("::")
        assert f"def {names[-1]}(" in (ROOT / path).read_text(encoding="utf-8"), test


def test_check_that_a_test_notices_is_killed_and_put_back(tool, small_tree):
    before = (small_tree / "shop.py").read_text()
    verdict = tool.judge(mutant(tool, "if size > 3:", "if False:"), small_tree, 0)
    assert (verdict.killed, verdict.test) == (True, "test_shop.py::test_large")
    assert (small_tree / "shop.py").read_text() == before


def test_check_that_nothing_notices_survives(tool, small_tree):
    verdict = tool.judge(mutant(tool, "colour != 'red'", "True"), small_tree, 0)
    assert not verdict.killed
    assert str(verdict) == "SURVIVED  shop.md: size (nothing noticed)"


def test_mutant_that_is_no_program_or_whose_test_is_not_there_is_not_killed(tool, small_tree):
    assert not tool.judge(mutant(tool, "if size > 3:", "if :"), small_tree, 0).killed
    missing = tool.Mutant("size", "shop.md", "shop.py", "if size > 3:", "if False:", ("test_shop.py::test_none",))
    assert "pytest ended with 4" in tool.judge(missing, small_tree, 0).trouble


def test_check_that_is_not_there_once_is_named(tool, small_tree):
    (wrong,) = tool.misplaced([mutant(tool, "return", "pass")], small_tree)
    assert wrong == "size: its text occurs 2 times in shop.py, and must occur once"
    twice = [mutant(tool, "if size > 3:", "if False:")] * 2
    assert tool.misplaced(twice, small_tree) == ["size: two mutants of shop.py have this name"]


def verdict_on(tool, mutant, root, *, killed=True):
    return tool.Verdict(mutant.name, mutant.rule, mutant.file, killed, digest=tool.digest(mutant, root))


@pytest.mark.parametrize("changes", ["the row", "the file", "the test", "it survived", "nothing was kept"])
def test_mutant_of_which_anything_changed_since_it_was_kept_is_due(tool, small_tree, changes):
    one, other = mutant(tool, "if size > 3:", "if False:"), mutant(tool, "!= 'red'", "!= 'blue'", "colour")
    kept = [verdict_on(tool, one, small_tree), verdict_on(tool, other, small_tree)]
    assert tool.changed([one, other], kept, small_tree) == []
    due = [one, other]
    if changes == "the row":
        one = mutant(tool, "if size > 3:", "if True:")
        due = [one]
    elif changes == "it survived":
        kept[0], due = verdict_on(tool, one, small_tree, killed=False), [one]
    elif changes == "nothing was kept":
        kept, due = kept[1:], [one]
    else:
        path = small_tree / ("shop.py" if changes == "the file" else "test_shop.py")
        path.write_text(path.read_text() + "\n")
    assert tool.changed([one, other], kept, small_tree) == due


def test_tests_are_shared_out_once_each_and_those_of_a_file_stay_together(tool):
    tests = ["a.py::one", "b.py::one", "b.py::two", "c.py"]
    assert tool.shared_out(tests, 2) == [tests[:1], tests[1:]]
    assert tool.shared_out(tests[:2], 3) == [tests[:1], tests[1:2]]
    assert tool.shared_out([], 2) == []


def test_each_commit_draws_others_and_the_same_commit_the_same(tool):
    table = tool.read_table()
    draws = [{m.name + m.file for m in tool.drawn(table, f"commit {number}", 3)} for number in range(30)]
    assert all(len(table) / 5 < len(draw) < len(table) / 2 for draw in draws)
    assert set.union(*draws) == {m.name + m.file for m in table}
    assert tool.drawn(table, "commit 1", 3) == tool.drawn(table, "commit 1", 3)
    assert tool.drawn(table, "commit 1", 1) == list(table)


def test_what_is_kept_of_some_stands_beside_what_was_kept_of_the_others(tool, small_tree):
    one, other = mutant(tool, "if size > 3:", "if False:"), mutant(tool, "!= 'red'", "!= 'blue'", "colour")
    gone = mutant(tool, "return", "pass", "is in the table no more")
    kept = [verdict_on(tool, m, small_tree, killed=False) for m in (gone, other, one)]
    new = verdict_on(tool, one, small_tree)
    assert tool.together([one, other], kept, [new]) == [new, kept[1]]


def test_the_kept_run_is_of_the_table_and_killed_all(tool):
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    assert [(m["file"], m["name"]) for m in kept["mutants"]] == [(m.file, m.name) for m in tool.read_table()]
    assert all(m["killed"] for m in kept["mutants"])
