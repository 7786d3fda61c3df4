"""The ledgers that homes keep, whichever engine orders them, read for an audit."""

import fcntl
import os
from collections.abc import Mapping

from medward.audit.cometbft_ledger import CometAudit
from medward.audit.findings import AuditResult, Finding
from medward.audit.pbft_ledger import Decode, LedgerAudit
from medward.ledger.cometbft.reading import StoredChain, read_chain
from medward.ledger.errors import LedgerError
from medward.ledger.pbft.reading import JournalContent, read_journal
from medward.node.errors import InvalidCard, NodeError
from medward.node.home.federation_file import FederationFile
from medward.node.home.folder import Home
from medward.node.ledger.cometbft import comet_folder, comet_program
from medward.node.trial.ports import free_ports


def read_ledgers(
    homes: Mapping[str, Home], federation: FederationFile, decode: Decode, found: AuditResult
) -> tuple[LedgerAudit | CometAudit, Mapping[str, int]]:
    """Return what audits the ledgers of all homes, and the last height of each.

    Args:
        homes: by their names.
        federation: to which they belong.
        decode: returns the record that a payload holds.
        found: takes what cannot be read.

    Raises:
        NodeError: CometBFT orders them, and a node runs, or there is no CometBFT here to read its blocks with.
    """
    return (_read_comet if federation.engine == "cometbft" else _read_pbft)(homes, federation, decode, found)


def _read_pbft(
    homes: Mapping[str, Home], federation: FederationFile, decode: Decode, found: AuditResult
) -> tuple[LedgerAudit, Mapping[str, int]]:
    journals: dict[str, JournalContent] = {}
    for name, home in homes.items():
        try:
            journals[name] = read_journal(home.ledger / "journal", in_use=_in_use(home))
        except LedgerError as error:
            found.problems.append(Finding(str(error), name))
    lasts = {name: max((*one.blocks, *one.altered), default=0) for name, one in journals.items()}
    return LedgerAudit(federation.genesis, journals, found, decode), lasts


def _read_comet(
    homes: Mapping[str, Home], federation: FederationFile, decode: Decode, found: AuditResult
) -> tuple[CometAudit, Mapping[str, int]]:
    chains: dict[str, StoredChain] = {}
    for name, home in homes.items():
        if _in_use(home):
            raise NodeError(
                f"CometBFT writes the ledger of {name} as long as its node runs, so that it cannot be read: stop the "
                "node, and audit its home"
            )
        try:
            folder = comet_folder(home, home.card().name)
            chains[name] = read_chain(comet_program(), folder, *free_ports(1))
        except (LedgerError, InvalidCard) as error:
            found.problems.append(Finding(str(error), name))
    lasts = {name: chain.last for name, chain in chains.items()}
    try:
        return CometAudit(federation.genesis, federation.comet["genesis"], chains, found, decode), lasts
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        raise NodeError(
            f"CometBFT's genesis in the federation file of {federation.name} is malformed, so that no block can be "
            "checked: get federation.json anew"
        ) from None


def _in_use(home: Home) -> bool:
    """Whether a node runs on the home; its lock is taken for an instant, shared, and nothing is written."""
    try:
        descriptor = os.open(home.folder / "lock", os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
