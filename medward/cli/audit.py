"""`medward audit`: check what a federation's nodes have on disk, without a key."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from medward.cli._console import errors, print_json, use_one_thread_per_operation
from medward.cli.running import CertificateOption, NodeOption, TokenOption
from medward.errors import BadUsage

if TYPE_CHECKING:
    from medward.audit.homes import Audit

#: What was checked, by group, in the order and the words of the answer.
_LINES = {
    "files": "{files} federation files, {cards} cards",
    "ledger": "{blocks} blocks with {certificates} certificates, {transactions} transactions replayed, "
    "{checkpoints} checkpoints, {equivocations} equivocations",
    "store": "{blocks} blocks hashed ({megabytes} MB), {blobs} blobs that the ledger needs",
    "data": "{sets} sealed data sets with {rows} rows on record, {data keys} keys to seal data to",
    "keys": "{sealing keys} keys that shares were sealed to",
    "rounds": "{rounds} rounds: {commitments} commitments, {dealings} dealings, {complaints} complaints, "
    "{shown} shown, {answers} answers, {sums} sums decrypted anew, {models} models computed anew, {votes} votes",
}
_MOST_REMARKS = 20


def audit(
    home: Path | None = typer.Option(None, help="A node's home, or a folder with the homes of several nodes."),
    node: NodeOption = None,
    token_file: TokenOption = None,
    certificate: CertificateOption = None,
    only: int | None = typer.Option(None, "--round", help="Check dealings, sum and model of this one only."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document on standard output."),
) -> None:
    """Check everything that a federation's nodes have on disk: ledger, store, dealings, sums and models.

    It reads, changes nothing and needs no key; of a node that runs elsewhere it gets a copy. The exit code is 0 where
    everything holds and 1 otherwise. What that proves, and what it cannot: docs/audit.md.

    Example: `medward audit --home trial/`
    """
    if (home is None) == (node is None) or (node is None) != (token_file is None):
        raise BadUsage("name what to audit: --home DIR, or a running node with --node URL and --token-file FILE")
    use_one_thread_per_operation()
    from medward.audit import homes
    from medward.audit.homes import audit_node, document
    from medward.node.api.client import NodeClient

    console = errors()
    with console.status("") as status:

        def said(what: str) -> None:
            status.update(f"checking {what}")

        if home is not None:
            found = homes.audit(home, only, said)
        else:
            assert node is not None
            assert token_file is not None
            with NodeClient.of_url(node, token_file, certificate) as client:
                found = audit_node(client, only, said)
    if as_json:
        print_json(document(found))
    else:
        _print(found)
    raise typer.Exit(0 if found.sound else 1)


def _print(found: "Audit") -> None:
    typer.echo(f"{found.federation} ({found.fingerprint}), {len(found.homes)} homes: {', '.join(found.homes)}")
    for name, group in found.groups.items():
        counts = _Counts(group.checked)
        counts["megabytes"] = counts["bytes"] // 10**6
        verdict = "all hold" if not group.problems else f"{len(group.problems)} problems"
        typer.echo(f"{name:8}{_LINES[name].format_map(counts)}: {verdict}")
    for problem in found.problems:
        typer.echo(f"problem  {problem}")
    remarks = [remark for group in found.groups.values() for remark in group.remarks]
    for remark in remarks[:_MOST_REMARKS]:
        typer.echo(f"remark   {remark}")
    if len(remarks) > _MOST_REMARKS:
        typer.echo(f"remark   and {len(remarks) - _MOST_REMARKS} more; --json has them all")
    if found.refused:
        typer.echo(f"remark   {len(found.refused)} records were refused and changed nothing; --json has them all")
    if found.sound:
        typer.echo(f"verdict  sound up to height {found.height}")
    else:
        typer.echo(f"verdict  not sound: {len(found.problems)} problems")


class _Counts(dict[str, int]):
    """Counts, 0 for what was not counted."""

    def __missing__(self, key: str) -> int:
        return 0
