"""A member's node for `medward score` and `medward outsource`, and waiting for what it carries out."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from medward.cli._console import waiting
from medward.errors import BadUsage, MedwardError

if TYPE_CHECKING:
    from collections.abc import Callable

    from medward.node.api.client import NodeClient
    from medward.node.home.folder import Home

LOOK_SECONDS = 0.3


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


def wait_for(client: "NodeClient", what: str, ready: "Callable[[], bool]") -> None:
    """Wait until something is so, which the node brings about.

    Raises:
        NodeError: the node is gone.
    """
    with waiting(what):
        while not ready():
            client.get("/status")
            time.sleep(LOOK_SECONDS)


def wait_until_carried_out(client: "NodeClient", folder: Path, order: Path) -> None:
    """Wait until the node has taken an order out of its folder.

    Args:
        client: of the node.
        folder: in which the node says why it put an order aside.
        order: the file or folder that was left.

    Raises:
        NodeError: the node put it aside; the sentence is the node's.
    """
    from medward.node.computing.orders import check_not_refused

    wait_for(client, "the node", lambda: not order.exists())
    check_not_refused(folder, order)
