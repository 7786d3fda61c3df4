"""`medward audit`: check what a federation's nodes have on disk, without a key."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from medward.cli._console import print_json, say, use_one_thread_per_operation
from medward.cli.running import CertificateOption, NodeOption, TokenOption
from medward.errors import BadUsage, printable

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
    "batches": "{batches} batches under {keys} keys: {computed anew} computed anew, {results} results of "
    "members and {parts} opened parts compared",
    "tasks": "{tasks} tasks under {keys} keys: {computed anew} computed anew, {results} results of members "
    "compared, {shares} shares, {models} models made anew",
    "demo": "{files} files compared with what {signatures} members signed, {rounds} rounds and {tasks} tasks of "
    "metrics.json, {model files} files of the model computed anew, {pages} pages made anew",
}
_MOST_REMARKS = 20
_MOST_UNCHECKED = 40


def audit(
    home: Path | None = typer.Option(
        None, help="A node's home, a folder with the homes of several nodes, or the folder of a demo."
    ),
    node: NodeOption = None,
    token_file: TokenOption = None,
    certificate: CertificateOption = None,
    only: int | None = typer.Option(None, "--round", help="Check this round, batch or task only."),
    report: Path | None = typer.Option(
        None,
        help="Write a dated page to file: what was proved, who signed it, what was refused or not checked (.html).",
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document on standard output."),
) -> None:
    """Check everything that a federation's nodes have on disk: ledger, store, dealings, sums, models, encrypted scores.

    Of a demo's folder it also checks metrics.json, report.html and model/. It reads, changes nothing there and needs no
    key; of a node that runs elsewhere it gets a copy. What lies there and was not checked is listed as such.

    The exit code is 0 where everything holds, 1 where something does not or cannot be checked, and 2 where the command
    cannot work as it was called. What an audit proves, and what it cannot: docs/audit.md.

    Example: `medward audit --home medward-out --report audit.html`
    """
    if (home is None) == (node is None) or (node is None) != (token_file is None):
        raise BadUsage("name what to audit: --home DIR, or a running node with --node URL and --token-file FILE")
    if report is not None:
        _check_report(report, home)
    use_one_thread_per_operation()
    say("checking the files")
    found = _found(home, node, token_file, certificate, only, lambda what: say(f"checking {what}"))
    say("writing down what was found")
    if report is not None:
        from medward.report.audit_page import write_audit_page

        write_audit_page(report, found, datetime.now(UTC), only)
    if as_json:
        from medward.audit.document import document

        print_json(document(found))
    else:
        _print(found)
    raise typer.Exit(0 if found.sound else 1)


def _check_report(report: Path, home: Path | None) -> None:
    """Refuse a page that cannot be written, or that would change what is audited, before hours are spent."""
    if report.suffix.lower() not in (".html", ".htm"):
        raise BadUsage(f"--report writes a page of HTML: end its name with .html, not {report.name!a}")
    if report.is_dir() or not report.parent.is_dir():
        raise BadUsage(f"--report cannot write {str(report)!a}: name a file in a folder that is there")
    if home is not None and report.parent.resolve().is_relative_to(home.resolve()):
        raise BadUsage("--report must lie outside the folder that is audited, which an audit does not change")


def _found(
    home: Path | None,
    node: str | None,
    token_file: Path | None,
    certificate: Path | None,
    only: int | None,
    said: Callable[[str], None],
) -> "Audit":
    from medward.audit import homes
    from medward.node.api.client import NodeClient
    from medward.report.federation_page import page_of

    if home is not None:
        return homes.audit(home, only, said, page_of)
    assert node is not None
    assert token_file is not None
    with NodeClient.of_url(node, token_file, certificate) as client:
        return homes.audit_node(client, only, said)


def _print(found: "Audit") -> None:
    _echo(f"{found.federation} ({found.fingerprint}), {len(found.homes)} homes: {', '.join(found.homes)}")
    for name, group in found.groups.items():
        counts = _Counts(group.checked)
        counts["megabytes"] = counts["bytes"] // 10**6
        verdict = "all hold" if not group.problems else f"{len(group.problems)} problems"
        line = "nothing to check" if group.nothing else f"{_LINES[name].format_map(counts)}: {verdict}"
        _echo(f"{name:8}{line}")
    for problem in found.problems:
        _echo(f"problem  {problem}")
    remarks = [remark for group in found.groups.values() for remark in group.remarks]
    for remark in remarks[:_MOST_REMARKS]:
        _echo(f"remark   {remark}")
    if len(remarks) > _MOST_REMARKS:
        _echo(f"remark   and {len(remarks) - _MOST_REMARKS} more; --json has them all")
    if found.refused:
        _echo(f"remark   {len(found.refused)} records were refused and changed nothing; --json has them all")
    unchecked = found.unchecked_by_place()
    for path, homes, why in unchecked[:_MOST_UNCHECKED]:
        _echo(f"not checked  {path} {f'in {len(homes)} homes' if homes else ''}: {why}".replace(" :", ":"))
    if len(unchecked) > _MOST_UNCHECKED or found.unnamed:
        _echo("not checked  and more; --json has them")
    if found.sound:
        _echo(f"verdict  sound up to height {found.height}")
    else:
        _echo(f"verdict  not sound: {len(found.problems)} problems")


def _echo(line: str) -> None:
    typer.echo(printable(line))


class _Counts(dict[str, int]):
    """Counts, 0 for what was not counted."""

    def __missing__(self, key: str) -> int:
        return 0
