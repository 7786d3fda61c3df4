"""The ledgers of homes that CometBFT orders, verified block by block from the genesis and replayed once.

As with PBFT (pbft_ledger.py), what proves a block is its certificate, whoever keeps it: here the commit of more than
two thirds of the validators, who are those of the genesis for ever. A header certifies the state *before* its block, so
the last block's state rests on the replay alone.
"""

import json
from collections.abc import Mapping

from medward.audit.findings import AuditResult, Finding
from medward.audit.pbft_ledger import Decode, Replayed, Take, kind_and_author
from medward.federation.records import decode_record
from medward.ledger.cometbft.light import (
    data_hash,
    genesis_validators,
    header_hash,
    merkle_root,
    timestamp,
    verify_commit,
)
from medward.ledger.cometbft.reading import StoredBlock, StoredChain
from medward.ledger.errors import InvalidCertificate, InvalidSignature, LedgerError, NotCanonical
from medward.ledger.execution import Execution
from medward.ledger.membership import Genesis
from medward.ledger.signatures import MemberVerifier
from medward.ledger.transactions import decode_transaction, verify_transaction
from medward.ledger.types import Application, Transaction


class CometAudit:
    """An audit of the ledgers of one federation on CometBFT.

    Args:
        genesis: what the members agreed on before the first block.
        comet_genesis: CometBFT's genesis, as the federation file has it.
        chains: what each home's CometBFT has.
        found: takes what is found.
        decode: returns the record that a payload holds.
    """

    def __init__(
        self,
        genesis: Genesis,
        comet_genesis: str,
        chains: Mapping[str, StoredChain],
        found: AuditResult,
        decode: Decode = decode_record,
    ) -> None:
        self._genesis, self._chains, self._findings, self._decode = genesis, chains, found, decode
        self._verifier = MemberVerifier()
        document = json.loads(comet_genesis)
        self._chain_id = str(document["chain_id"])
        self._time = _milliseconds(document["genesis_time"])
        self._validators = genesis_validators(document)
        self._blocks: dict[int, StoredBlock] = {}
        self._certified: set[tuple[str, int]] = set()

    def run(self, application: Application, take: Take) -> Replayed:
        """Verify everything and replay it; see `LedgerAudit.run`."""
        for home, chain in self._chains.items():
            for height, why in chain.damage.items():
                self._problem(f"the block cannot be read: {why}", home, height)
        self._verify_blocks()
        return Replayed(self._replay(application, take), [self._genesis.membership])

    def _problem(self, what: str, home: str | None = None, height: int | None = None) -> None:
        self._findings.problems.append(Finding(what, home, height))

    def _verify_blocks(self) -> None:
        altered: list[tuple[str, int]] = []
        by: dict[int, str] = {}
        for height in sorted({height for chain in self._chains.values() for height in chain.blocks}):
            for home, chain in self._chains.items():
                block = chain.blocks.get(height)
                if block is None or not self._verify(home, height, block):
                    continue
                if data_hash(block.transactions) != block.header["data_hash"]:
                    altered.append((home, height))
                    continue
                known = self._blocks.setdefault(height, block)
                first = by.setdefault(height, home)
                if known.header != block.header:
                    what = f"two different blocks are certified, here and in {first}: more members lied than may"
                    self._problem(what, home, height)
        self._findings.count("blocks", len(self._blocks))
        for home, height in altered:
            self._tell_altered(home, height)

    def _verify(self, home: str, height: int, block: StoredBlock) -> bool:
        """Verify a block's certificate, and that what is kept twice is kept the same."""
        try:
            certified, _ = verify_commit(block.signed_header, self._validators, self._chain_id)
            if certified != height:
                raise InvalidCertificate(f"it is that of height {certified}")
        except InvalidCertificate as error:
            self._problem(f"the certificate of the block is not valid: {error}", home, height)
            return False
        self._findings.count("certificates")
        if block.header != block.signed_header["header"]:
            self._problem("the header in the block is not the one that was certified", home, height)
            return False
        # Of one whose certificate is not valid that was told, and what it holds may be anything.
        before = self._chains[home].blocks[height - 1] if (home, height - 1) in self._certified else None
        self._certified.add((home, height))
        if before is not None and block.last_commit != before.signed_header["commit"]:
            self._problem(
                "the commit that it has of the block before is another than is kept beside that", home, height
            )
        if block.evidence:
            what = f"{len(block.evidence)} proofs that a validator signed two blocks stand here, unread"
            self._findings.remarks.append(Finding(what, home, height))
        elif block.header["evidence_hash"] != merkle_root([]).hex().upper():
            self._problem("proofs that a validator signed two blocks are missing here", home, height)
        return True

    def _tell_altered(self, home: str, height: int) -> None:
        """Name the transactions of a block that are not those that its header names, as far as anything shows it."""
        stored, whole = self._chains[home].blocks[height].transactions, self._blocks.get(height)
        if whole is None:
            places = [place for place, one in enumerate(stored) if self._read(one) is None]
        elif len(whole.transactions) == len(stored):
            places = [place for place, one in enumerate(stored) if one != whole.transactions[place]]
        else:
            places = []
        named = stored if whole is None else whole.transactions
        if not places:
            self._problem("its transactions are not those that its header names", home, height)
        for place in places:
            kind = kind_and_author(named[place], [self._genesis.membership], self._decode)
            what = f"transaction {place + 1} of {len(stored)}{kind} was altered"
            self._problem(what, home, height)

    def _read(self, encoded: bytes) -> Transaction | None:
        try:
            transaction = decode_transaction(encoded)
            verify_transaction(self._genesis.chain, self._verifier, transaction)
        except (NotCanonical, InvalidSignature, LedgerError):
            return None
        return transaction

    def _replay(self, application: Application, take: Take) -> int:
        execution = Execution(application, self._time)
        before: str | None = None
        for height in range(1, max((chain.last for chain in self._chains.values()), default=0) + 1):
            block = self._blocks.get(height)
            if block is None:
                self._problem("no home has this block whole, so nothing from here on can be replayed", height=height)
                break
            header = block.header
            if bytes.fromhex(header["app_hash"]) != execution.summary.root:
                what = "the certified state is not the one that the blocks lead to: more members lied than may"
                self._problem(what, height=height)
            if before is not None and header["last_block_id"]["hash"] != before:
                self._problem("it does not follow the block before it: more members lied than may", height=height)
            before = header_hash(header).hex().upper()
            transactions = [self._read(encoded) for encoded in block.transactions]
            if None in transactions:
                self._problem("a quorum ordered what its author did not sign", height=height)
            present = [transaction for transaction in transactions if transaction is not None]
            executed = execution.execute(_milliseconds(header["time"]), present)
            for transaction, result in zip(present, executed.results, strict=True):
                take(executed, transaction, result)
            self._findings.count("transactions", len(present))
        self._findings.count("checkpoints", max(execution.height - 1, 0))
        return execution.height


def _milliseconds(text: str) -> int:
    found = timestamp(text)
    return found["seconds"] * 1000 + found["nanos"] // 1_000_000
