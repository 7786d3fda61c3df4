"""The process around a node: the lock on its home, its log, its signals, and its exit code."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import msgspec

from medward.errors import MedwardError
from medward.ledger.pbft.runtime.event_loop import run
from medward.node.applications import PROGRAMS
from medward.node.home.configuration import Configuration, LedgerEngine, StoreEngine
from medward.node.home.folder import Home
from medward.node.interfaces import Program
from medward.node.logs import start_logging
from medward.node.node import Node
from medward.node.supervision import sentence

_LOG = logging.getLogger("medward.node")


def run_node(
    folder: Path,
    programs: Mapping[str, Program] = PROGRAMS,
    *,
    store: StoreEngine | None = None,
    ledger: LedgerEngine | None = None,
    until_stdin_closes: bool = False,
) -> int:
    """Run a node until SIGTERM or SIGINT; return 0 after a stop that was asked for, 1 after any other.

    Args:
        folder: the node's home.
        programs: the kinds of federation that it can run.
        store: in place of what node.toml says.
        ledger: the same.
        until_stdin_closes: stop, too, when whoever holds the other end of standard input is gone.

    Raises:
        MedwardError: it did not get as far as having a log.
    """
    os.umask(0o077)  # whatever the node writes is its own
    home = Home(folder)
    configuration = home.configuration()
    changed = msgspec.structs.replace
    if store is not None:
        configuration = changed(configuration, store=changed(configuration.store, engine=store))
    if ledger is not None:
        configuration = changed(configuration, ledger=changed(configuration.ledger, engine=ledger))
    token = home.token()
    with home.locked():
        log = configuration.log
        start_logging(home.log_file, log.level, log.files, [token])
        try:
            return run(_run(home, configuration, programs, until_stdin_closes))
        except Exception as error:
            defect = None if isinstance(error, MedwardError) else error
            _LOG.error("%s", sentence(error), exc_info=defect)
            return 1


def end(code: int) -> NoReturn:
    """End this process at once with the exit code that `run_node` returned.

    To free the memory of a node that has trained, object by object, takes half a second of a processor, and the system
    does it anyway. The node has closed its journals and its store by then. A blob that is still being fetched from
    another member is not waited for: as after a kill, it is fetched again when it is wanted.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or nobody reads it any more
            stream.flush()
    os._exit(code)


async def _run(
    home: Home, configuration: Configuration, programs: Mapping[str, Program], until_stdin_closes: bool
) -> int:
    node = await asyncio.to_thread(Node, home, configuration, programs)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, node.stopping.set)
    if until_stdin_closes:
        loop.add_reader(sys.stdin.fileno(), _watch_stdin, loop, node.stopping)
    await node.run(lambda phase: _tell_systemd(f"READY=1\nSTATUS={phase}"))
    return 0


def _watch_stdin(loop: asyncio.AbstractEventLoop, stopping: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        loop.remove_reader(sys.stdin.fileno())
        stopping.set()


def _tell_systemd(state: str) -> None:
    """Tell the service manager, where there is one, that the node is ready (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.sendto(state.encode(), address)
