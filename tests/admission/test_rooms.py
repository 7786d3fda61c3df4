"""Threats T5 and T7: how many connections there may be, and who loses a place to whom."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from medward.admission.rooms import Place, Room, network


@dataclass
class Clock:
    """Seconds, as the test says."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class World:
    """A room, and who was hung up on."""

    room: Room
    clock: Clock
    ended: list[str] = field(default_factory=list)

    def call(self, name: str, key: str = "somewhere") -> Place | None:
        """Somebody calls; None where there is no place."""
        place = Place(name, lambda: self.ended.append(name))
        return place if self.room.enter(place, key) else None


def world(places: int, each: int, grace: float = 0.0, life: float | None = None, known: bool = False) -> World:
    clock = Clock()
    return World(Room(places, each, grace=grace, life=life, known=known, clock=clock), clock)


def test_newcomer_in_a_full_room_takes_the_longest_idle_place_of_whoever_has_most() -> None:
    of = world(4, 4)
    of.call("alone", "b")
    for number in range(3):
        of.call(f"many {number}", "a")
    of.call("new", "c")
    assert of.ended == ["many 0"]
    assert len(of.room) == 4


def test_one_caller_with_all_its_places_takes_its_own_and_nobody_else_s() -> None:
    of = world(10, 2)
    of.call("other", "b")
    for number in range(5):
        of.call(f"many {number}", "a")
    assert of.ended == ["many 0", "many 1", "many 2"]


def test_nobody_loses_a_place_within_its_grace() -> None:
    of = world(2, 2, grace=1.0)
    of.call("first", "a")
    of.call("second", "b")
    of.clock.now += 0.9
    assert of.call("third", "c") is None
    assert of.ended == []
    of.clock.now += 0.2
    assert of.call("third", "c") is not None
    assert of.ended == ["first"]


def test_stranger_that_hangs_up_early_leaves_its_place_taken_until_its_grace_is_over() -> None:
    # Otherwise a caller that comes and goes could have any number of handshakes done for it in a second.
    of = world(2, 2, grace=1.0)
    let_in = 0
    for _ in range(100):
        place = of.call("quick")
        let_in += place is not None
        if place is not None:
            place.leave()
        of.clock.now += 0.05
    assert let_in <= 2 * (5 + 1)


def test_place_of_one_who_has_shown_who_it_is_is_free_at_once() -> None:
    strangers = world(1, 1, grace=10.0)
    members = world(5, 5, known=True)
    for number in range(3):
        place = strangers.call(f"member {number}")
        assert place is not None
        assert place.move(members.room, f"member {number}")
    assert len(members.room) == 3


def test_connection_that_shows_nothing_is_ended_and_one_that_is_of_use_is_not() -> None:
    of = world(9, 9, life=10.0)
    idle, useful = of.call("idle"), of.call("useful")
    assert idle is not None
    assert useful is not None
    for _ in range(4):
        of.clock.now += 4
        useful.touch()
        of.room.sweep()
    assert of.ended == ["idle"]


def test_move_to_a_full_room_ends_the_connection() -> None:
    of, full = world(3, 3), world(1, 1, grace=10.0)
    full.call("there")
    place = of.call("moves")
    assert place is not None
    assert not place.move(full.room, "a")
    assert of.ended == ["moves"]
    assert (len(of.room), len(full.room)) == (0, 1)


def test_connection_that_has_ended_takes_no_place_any_more() -> None:
    # Whoever found out who called may have taken longer than the caller stayed.
    of, members = world(3, 3), world(3, 3, known=True)
    gone, cut = of.call("gone"), of.call("cut")
    assert gone is not None
    assert cut is not None
    gone.leave()
    cut.hang_up()
    assert not gone.move(members.room, "a")
    assert not cut.move(members.room, "a")
    assert (len(of.room), len(members.room), of.ended) == (0, 0, ["cut"])


def test_member_is_introduced_by_its_address() -> None:
    met: list[tuple[str, str]] = []
    place = Place("192.0.2.7", lambda: None, lambda *told: met.append(told))
    strangers, members = Room(1, 1), Room(1, 1, known=True)
    assert strangers.enter(place, "192.0.2.7")
    assert place.move(members, "north")
    assert met == [("north", "192.0.2.7")]


def test_an_ipv6_network_is_one_caller() -> None:
    assert network("2001:db8:1:2::1") == network("2001:db8:1:2:ffff::9") != network("2001:db8:1:3::1")
    assert network("::ffff:192.0.2.1") == network("192.0.2.1") != network("192.0.2.2")
    assert network("fe80::1%eth0") == network("fe80::2")


@given(
    places=st.integers(1, 6),
    each=st.integers(1, 6),
    grace=st.sampled_from([0.0, 1.0, 3.0]),
    steps=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["come", "go", "touch"]), st.floats(0, 2))),
)
def test_bounds_hold_whatever_callers_do(
    places: int, each: int, grace: float, steps: list[tuple[str, str, float]]
) -> None:
    clock = Clock()
    room = Room(places, each, grace=grace, clock=clock)
    inside: list[tuple[str, Place]] = []
    entered: dict[int, float] = {}

    def cut(place_of: list[Place]) -> None:
        assert clock.now - entered[id(place_of[0])] >= grace

    for key, what, seconds in steps:
        clock.now += seconds
        mine = [place for owner, place in inside if owner == key and place.room is room]
        if what == "come":
            holder: list[Place] = []
            place = Place(key, lambda holder=holder: cut(holder))
            holder.append(place)
            if room.enter(place, key):
                entered[id(place)] = clock.now
                inside.append((key, place))
        elif mine and what == "go":
            mine[0].leave()
        elif mine:
            mine[0].touch()
        present = [owner for owner, place in inside if place.room is room]
        assert len(present) == len(room) <= places
        assert all(present.count(owner) <= each for owner in present)
