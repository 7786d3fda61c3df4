from medward.ledger.pbft.messages import FetchBlocks, Status
from medward.ledger.pbft.runtime.reach import PeerReach, Reach, clock_behind


def status(clock: float, executed: int = 7) -> Status:
    return Status(0, 0, False, 0, executed, 0, False, int(clock * 1000))


def test_any_word_counts_as_heard_and_a_status_tells_clock_and_height() -> None:
    reach = Reach(begun=100.0)
    reach.note("a", status(5300.0), now=110.0, clock=5000.0)
    reach.note("b", FetchBlocks(1, 2), now=112.0, clock=5000.0)
    assert reach.of(["a", "b", "c"], now=115.0) == [
        PeerReach("a", 5.0, 300.0, 7),
        PeerReach("b", 3.0, None, None),
        PeerReach("c", 15.0, None, None),
    ]


def test_own_clock_is_judged_by_the_median_which_one_liar_does_not_move() -> None:
    def peers(*ahead: float | None) -> list[PeerReach]:
        return [PeerReach(str(number), 0.0, one, 0) for number, one in enumerate(ahead)]

    assert clock_behind(peers(None, None)) is None
    assert clock_behind(peers(300.0, 300.1, 299.9)) == 299.95
    assert abs(clock_behind(peers(0.1, -0.1, 1e9)) or 0) <= 0.1
    assert abs(clock_behind(peers(0.1, -0.1, -1e9)) or 0) <= 0.1
