"""A demo's files beside its nodes' homes, checked against the ledger and against what its members signed.

    manifest.json   signatures of a quorum of the members; then the digest of every file that it lists
    metrics.json    its rounds or tasks and its terms, against the records on the ledger
    model/          computed anew from what the ledger led to, and compared byte for byte
    report.html     made anew from metrics.json, and compared byte for byte

Measures, seconds and bytes stand on no ledger: of these the signatures alone say that they are as they were written.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from medward import __version__
from medward.audit.findings import AuditResult, Finding
from medward.ledger.membership import Membership
from medward.node.errors import NodeError
from medward.node.trial.manifest import (
    DOCUMENTS,
    MANIFEST,
    METRICS,
    MODEL,
    REPORT,
    DemoManifest,
    digest_of,
    read_inside,
    read_manifest,
)

#: Makes `report.html` of `metrics.json` (medward/report/federation_page.py, which is above this layer).
MakePage = Callable[[dict[str, Any]], bytes]
#: The files of a model.
MODEL_FILES = ("model.json", "weights.safetensors")
_MOST_METRICS = 2**26


@dataclass(frozen=True)
class DemoTruth:
    """What a federation's ledger and homes say of what its demo must have written.

    Args:
        unit: what its work comes in.
        work: number -> what `metrics.json` must say of the round or task of that number, of all that are over.
        facts: what `metrics.json` must say besides, by its keys.
        model: the files of the model that the work led to, by their names; None where there is none to compare with.
        unknown: why no model can be compared, where that is no fault; empty otherwise.
    """

    unit: Literal["round", "task"]
    work: Mapping[Any, Mapping[str, Any]]
    facts: Mapping[str, Any]
    model: Mapping[str, bytes] | None
    unknown: str = ""

    @property
    def log(self) -> str:
        """The key of `metrics.json` that tells of the work, an entry each, in order."""
        return f"{self.unit}s_log"


@dataclass(frozen=True)
class DemoTerms:
    """What an audit knows of a federation before it looks at the demo's own files.

    Args:
        fingerprint: of the federation.
        memberships: of every epoch.
        truth: what the demo must have written.
        make_page: makes report.html anew; None where nobody can.
    """

    fingerprint: str
    memberships: Sequence[Membership]
    truth: DemoTruth
    make_page: MakePage | None


@dataclass
class DemoAudit:
    """What is left to tell of a demo's folder.

    Args:
        signed_by: members whose signatures under the manifest are valid, sorted.
        listed: the paths that a signed manifest lists, each compared with its digest.
        keys_here: homes that hold the keys that signed.
        unproved: path -> why it is not checked as a whole, of files that no signed manifest lists.
    """

    signed_by: tuple[str, ...] = ()
    listed: frozenset[str] = frozenset()
    keys_here: tuple[str, ...] = ()
    unproved: dict[str, str] = field(default_factory=dict)


def is_demo(folder: Path) -> bool:
    """Return whether a demo left something in this folder beside homes."""
    return any((folder / name).is_symlink() or (folder / name).exists() for name in DOCUMENTS)


def audit_demo(folder: Path, homes: Sequence[str], terms: DemoTerms, found: AuditResult) -> DemoAudit:
    """Check the files of a demo.

    Args:
        folder: the demo's.
        homes: the names of the homes in it that are audited.
        terms: what is known otherwise.
        found: takes what is found.
    """
    told = DemoAudit()
    if not is_demo(folder):
        return told
    truth = terms.truth
    told.unproved[METRICS] = f"its {truth.unit}s are compared with the ledger; its measures, seconds and bytes are not"
    told.keys_here = tuple(home for home in homes if (folder / home / "ledger" / "keys" / "signing.key").exists())
    manifest = _check_manifest(folder, terms, told, found)
    if manifest is not None:
        _compare_files(folder, homes, manifest, found)
        told.listed = frozenset(manifest.files)
    _check_model(folder, truth, told, found)
    document = _read_metrics(folder, truth, found)
    if document is not None and _check_metrics(document, truth, found):
        _check_page(folder, document, terms, told, found)
    told.unproved = {path: why for path, why in told.unproved.items() if path not in told.listed}
    return told


def _problem(found: AuditResult, file: str, what: str, guilty: tuple[str, ...] = ()) -> None:
    found.problems.append(Finding(f"{file}: {what}", guilty=guilty))


# The manifest.


def _check_manifest(folder: Path, terms: DemoTerms, told: DemoAudit, found: AuditResult) -> DemoManifest | None:
    """Return the manifest if a quorum of members signed it."""
    try:
        manifest = read_manifest(folder)
    except NodeError as error:
        _problem(found, MANIFEST, f"{error}; without it nothing shows whether measures, times and logs were altered")
        return None
    if manifest.federation != terms.fingerprint:
        _problem(found, MANIFEST, "it is that of another federation")
        return None
    known = defaultdict(list)
    for epoch in terms.memberships:
        for member in epoch.members:
            known[member.name].append(member)
    signed = {name: any(map(manifest.signed_by, known[name])) for name in sorted(known)}
    told.signed_by = tuple(name for name, valid in signed.items() if valid)
    found.count("signatures", len(told.signed_by))
    for name in sorted(manifest.signatures):
        if not signed.get(name, False):
            _problem(found, MANIFEST, f"{name} did not sign what it says" if name in known else f"{name} is no member")
    least = max(epoch.quorum for epoch in terms.memberships)
    if len(told.signed_by) < least:
        what = f"{len(told.signed_by)} of the members signed it; a quorum of {least} is needed to believe it"
        _problem(found, MANIFEST, what)
        return None
    if told.keys_here:
        what = (
            f"{MANIFEST}: the keys of {len(told.keys_here)} homes lie in this folder, so that whoever could write here "
            "could sign again; compare with a copy that left this machine"
        )
        found.remarks.append(Finding(what))
    return manifest


def _compare_files(folder: Path, homes: Sequence[str], manifest: DemoManifest, found: AuditResult) -> None:
    """Compare every file that the manifest lists; nodes may have run on their homes since, and that is a remark."""
    changed: dict[str, list[str]] = defaultdict(list)
    away: set[str] = set()
    for path, expected in sorted(manifest.files.items()):
        home, _, rest = path.partition("/")
        own = not rest or home == MODEL
        if not own and home not in homes:
            away.add(home)
            continue
        found.count("files")
        try:
            same = digest_of(folder, path, expected.bytes) == expected
            what = "it is not the file that the members signed when the demo ended"
        except OSError as error:
            same, what = False, f"it was there when the demo ended, and cannot be read now: {error.strerror}"
        if not same and own:
            _problem(found, path, what)
        elif not same:
            changed[home].append(rest)
    for home, paths in changed.items():
        what = f"changed since the members signed {MANIFEST}, as they do where a node runs again: {', '.join(paths)}"
        found.remarks.append(Finding(what, home))
    for home in sorted(away):
        found.remarks.append(Finding("this home was there when the demo ended, and is not here", home))


# The model.


def _check_model(folder: Path, truth: DemoTruth, told: DemoAudit, found: AuditResult) -> None:
    if truth.model is None:
        if truth.unknown:
            told.unproved |= {f"{MODEL}/{name}": truth.unknown for name in MODEL_FILES}
        elif (folder / MODEL).exists():
            _problem(found, MODEL, "the ledger and the stores here lead to no model that it could be compared with")
        return
    for name, content in sorted(truth.model.items()):
        path = f"{MODEL}/{name}"
        try:
            same = read_inside(folder, path, len(content)) == content
        except OSError as error:
            _problem(found, path, f"cannot be compared with what the ledger's last model leads to: {error.strerror}")
            continue
        if same:
            found.count("model files")
        else:
            _problem(found, path, "it is not what the ledger's last model leads to")


# The metrics.


def _read_metrics(folder: Path, truth: DemoTruth, found: AuditResult) -> dict[str, Any] | None:
    try:
        document = json.loads(read_inside(folder, METRICS, _MOST_METRICS))
    except OSError as error:
        _problem(found, METRICS, f"cannot be read: {error.strerror}")
        return None
    except (ValueError, RecursionError):
        _problem(found, METRICS, "is no JSON document")
        return None
    log = document.get(truth.log) if isinstance(document, dict) else None
    if not isinstance(log, list) or not all(isinstance(entry, dict) for entry in log):
        _problem(found, METRICS, f"is no document of `medward demo`: it tells of no {truth.unit}s")
        return None
    return dict(document)


def _check_metrics(document: Mapping[str, Any], truth: DemoTruth, found: AuditResult) -> bool:
    """Compare rounds or tasks, and terms, with the ledger; return whether they hold."""
    before = len(found.problems)
    expected = dict(truth.facts)
    if truth.model is not None:
        expected["model_name"] = json.loads(truth.model["model.json"])["weights"]
    for key, value in expected.items():
        if document.get(key) != value or type(document.get(key)) is not type(value):
            _problem(found, METRICS, f"{key} is not {value!r}, which the ledger and the plan say")
    log = document[truth.log]
    if [entry.get(truth.unit) for entry in log] != list(truth.work):
        _problem(
            found, METRICS, f"it does not tell of the ledger's {len(truth.work)} {truth.unit}s, each once and in order"
        )
        return False
    for entry, (number, told) in zip(log, truth.work.items(), strict=True):
        right = json.loads(json.dumps(told))
        wrong = [key for key in right if entry.get(key) != right[key]]
        found.count(f"{truth.unit}s")
        if wrong:
            what = f"{METRICS}: it says other {', '.join(wrong)} than the ledger"
            found.problems.append(
                Finding(what, round=number)
                if truth.unit == "round"
                else Finding(f"{what} of {truth.unit} {int(number)}")
            )
    return len(found.problems) == before


# The page.


def _check_page(folder: Path, document: dict[str, Any], terms: DemoTerms, told: DemoAudit, found: AuditResult) -> None:
    """Make report.html anew and compare it."""
    if terms.make_page is None:
        told.unproved[REPORT] = "this audit cannot make it anew from metrics.json"
        return
    if document.get("version") != __version__:
        told.unproved[REPORT] = "another version of medward wrote it, so that it cannot be made anew"
        return
    try:
        page = terms.make_page(document)
    except Exception as error:  # whatever a document of others does to a template
        _problem(found, REPORT, f"no page can be made from {METRICS} ({type(error).__name__})")
        return
    try:
        same = read_inside(folder, REPORT, len(page)) == page
    except OSError as error:
        _problem(found, REPORT, f"cannot be compared with the page that {METRICS} gives: {error.strerror}")
        return
    if same:
        found.count("pages")
    else:
        _problem(found, REPORT, f"it is not the page that {METRICS} gives")
