"""A chain of puzzles: the harder they are, the less it carries."""

from medward.bench.ledger import proof_of_work


def test_a_harder_puzzle_takes_longer():
    easy, *_ = proof_of_work.run(4, 1, 0.0)
    hard, *_ = proof_of_work.run(12, 1, 0.0)
    assert easy > hard > 0


def test_it_mines_until_there_is_a_wait_to_tell_of() -> None:
    """In no time at all, seven blocks: one transaction was confirmed six times. A block carries its whole batch."""
    rate, p50, p99 = proof_of_work.run(1, 1, 0.0)
    assert rate > 0
    assert p50 == p99 > 0
