"""A member's node for `medward score` and `medward outsource`, and waiting for what it carries out."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from medward.cli._console import waiting
from medward.errors import BadUsage, MedwardError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from medward.node.api.client import NodeClient
    from medward.node.home.folder import Home

LOOK_SECONDS = 0.3
#: For so long a command waits while its node says that no quorum is in reach. A member whose node is started again is
#: back within less.
NO_QUORUM_SECONDS = 60.0
#: How to go on after a lost quorum, where the command has more to do than to hand something in.
RUN_AGAIN = "nothing is lost: run the same command again once enough members are back"


def client_of(home: Path, application: str, does: str) -> "NodeClient":
    """Return the client of a member's node.

    Args:
        home: the member's.
        application: of its federation.
        does: what such a federation does, for a sentence.

    Raises:
        BadUsage: its federation has another one.
    """
    from medward.node.api.client import NodeClient

    return NodeClient.of_home(_member(home, application, does))


def compute_for_others(home: Path, application: str, does: str) -> None:
    """Let a member's node compute for others, from its next start on.

    Args:
        home: the member's.
        application: of its federation.
        does: what such a federation does, for a sentence.

    Raises:
        BadUsage: its federation has another one.
        MedwardError: its configuration says otherwise.
    """
    from medward.node.home.configuration import add_participant, read_configuration

    file = _member(home, application, does).configuration_file
    add_participant(file, {"compute": True})
    if read_configuration(file).participant.get("compute") is not True:
        raise MedwardError(f"{file}: participant.compute: expected true; write it there")
    typer.echo(f"{home} computes for others once its node is started again")


def _member(home: Path, application: str, does: str) -> "Home":
    """Return a member's home, whose federation must have this application."""
    from medward.node.home.folder import Home

    member = Home(home)
    if member.federation().application.name != application:
        raise BadUsage(f"{home} is not of a federation that {does}; begin one with --application {application}")
    return member


class QuorumWatch:
    """Ends a command's waiting once its node has said for a minute, without a break, that no quorum is in reach.

    As long as a quorum is in reach, whatever takes long is waited for.

    Args:
        how_to_go_on: the end of the sentence: what becomes of what was begun, and what to do.
        clock: returns seconds.
    """

    def __init__(self, how_to_go_on: str, clock: "Callable[[], float]" = time.monotonic) -> None:
        self._how_to_go_on = how_to_go_on
        self._clock = clock
        self._lost_at: float | None = None

    def look(self, status: "Any") -> None:
        """Look at what the node says of itself now.

        Args:
            status: as `GET /status` shows it.

        Raises:
            NodeError: it has said for too long that nothing can be ordered; names the members that are silent.
        """
        from medward.node.errors import NodeError
        from medward.node.ledger.reach import no_quorum

        lost = no_quorum(status.get("ledger", {}))
        if lost is None:
            self._lost_at = None
            return
        now = self._clock()
        if self._lost_at is None:
            self._lost_at = now
        if now - self._lost_at >= NO_QUORUM_SECONDS:
            why = lost.removeprefix("no quorum: ")
            raise NodeError(f"no quorum for {now - self._lost_at:.0f} s: {why}; {self._how_to_go_on}")


def kept_order(command: str) -> str:
    """Say what becomes, without a quorum, of an order that was left with the node.

    Args:
        command: shows what was carried out.
    """
    return (
        "nothing is lost: the order stays with the node, which carries it out once enough members are back; do not "
        f"give it a second time, `{command}` shows it then"
    )


def wait_for(client: "NodeClient", what: str, ready: "Callable[[], bool]", how_to_go_on: str = RUN_AGAIN) -> None:
    """Wait until something is so, which the node brings about.

    Args:
        client: of the node.
        what: is waited for.
        ready: whether it is so.
        how_to_go_on: see `QuorumWatch`.

    Raises:
        NodeError: the node is gone, or the quorum.
    """
    watch = QuorumWatch(how_to_go_on)
    with waiting(what):
        while not ready():
            watch.look(client.get("/status"))
            time.sleep(LOOK_SECONDS)


def wait_until_carried_out(client: "NodeClient", folder: Path, order: Path, how_to_go_on: str = RUN_AGAIN) -> None:
    """Wait until the node has taken an order out of its folder.

    Args:
        client: of the node.
        folder: in which the node says why it put an order aside.
        order: the file or folder that was left.
        how_to_go_on: see `QuorumWatch`.

    Raises:
        NodeError: the node put it aside, and the sentence is the node's; or the node is gone, or the quorum.
    """
    from medward.node.computing.orders import check_not_refused

    wait_for(client, "the node", lambda: not order.exists(), how_to_go_on)
    check_not_refused(folder, order)
