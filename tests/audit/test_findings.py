"""How findings add up, and where each says that it is."""

from medward.audit.findings import AuditResult, Finding


def test_finding_says_where_it_is() -> None:
    assert str(Finding("it is wrong")) == "it is wrong"
    assert str(Finding("it is wrong", "north", 0, 0, "bafy")) == "north, height 0, round 0, bafy: it is wrong"
    assert str(Finding("it is wrong", round=3)) == "round 3: it is wrong"


def test_results_add_up() -> None:
    one, other = AuditResult(), AuditResult()
    assert one.nothing
    one.count("blocks", 0)
    assert one.nothing
    one.count("blocks", 2)
    other.count("blocks")
    other.count("cards", 5)
    one.problems.append(Finding("a", guilty=("x", "y")))
    other.remarks.append(Finding("b", guilty=("y", "z")))
    other.problems.append(Finding("c"))
    one.take(other)
    assert one.checked == {"blocks": 3, "cards": 5}
    assert [problem.what for problem in one.problems] == ["a", "c"]
    assert one.guilty == {"x", "y", "z"}
    assert not one.nothing
    # The other stays as it was.
    assert other.checked == {"blocks": 1, "cards": 5}


def test_problem_alone_is_something() -> None:
    found = AuditResult(problems=[Finding("a")])
    assert not found.nothing
