"""An earlier run in the folder of a demo: it is replaced only where the user says so, and never what is another's."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from medward.errors import BadUsage, MedwardError
from medward.node.errors import NodeError
from medward.node.home.federation_file import read_federation
from medward.node.home.folder import Home
from medward.node.trial.manifest import MANIFEST

MARK = "trial.json"
_FEDERATION = "federation.json"
#: What `medward demo --simulate` keeps beside its results.
_SIMULATED = ("checkpoint", "journals", "store")


def write_mark(folder: Path, homes: Sequence[Path]) -> None:
    """Take down which homes a demo made in its folder, and of which federation they are."""
    federation = read_federation(folder / _FEDERATION)
    mark = {"homes": [home.name for home in homes], "fingerprint": federation.fingerprint}
    (folder / MARK).write_text(json.dumps(mark))


def make_room(folder: Path, force: bool) -> None:
    """Have a folder hold no earlier run of a demo; other files in it are left alone.

    Args:
        folder: where the demo goes.
        force: whether an earlier run may be removed.

    Raises:
        BadUsage: something is there, and may not be removed.
        NodeError: homes of another federation are there. Nothing is removed then.
    """
    if folder.exists() and not folder.is_dir():
        raise BadUsage(f"--out: {folder} is a file; name a folder")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not force:
        raise BadUsage(
            f"--out: {folder} is not empty; --force replaces an earlier run in it, --resume goes on with one, or name "
            "another folder"
        )
    homes, fingerprint = _marked(folder)
    if (home := _home_of_others(folder, homes, fingerprint)) is not None:
        raise NodeError(
            f"{home} is a node's home that no demo made here; nothing was removed: name another folder with --out, "
            "or move the home away"
        )
    for name in homes:
        # Whoever wrote the mark may have named another folder of the user's.
        if _is_of(folder / name, fingerprint):
            shutil.rmtree(folder / name, ignore_errors=True)
    if any((folder / "journals").glob("simulation-*")):
        for name in _SIMULATED:
            shutil.rmtree(folder / name, ignore_errors=True)
    for name in (MARK, _FEDERATION, MANIFEST) if homes else (MANIFEST,):
        (folder / name).unlink(missing_ok=True)


def replaceable(folder: Path) -> bool:
    """Whether `make_room` may remove what an earlier run left in a folder, where the user says so."""
    return _home_of_others(folder, *_marked(folder)) is None


def _home_of_others(folder: Path, homes: Sequence[str], fingerprint: str) -> Path | None:
    """Return a node's home in a folder that is none of those that a demo marked as its own."""
    places: list[Path] = [folder, *(folder.iterdir() if folder.exists() else ())]
    for home in places:
        if Home(home).configuration_file.exists() and not (home.name in homes and _is_of(home, fingerprint)):
            return home
    return None


def _marked(folder: Path) -> tuple[list[str], str]:
    """Return the names of the homes that a demo made here, and their federation's fingerprint; nothing if none did."""
    try:
        found = json.loads((folder / MARK).read_text())
        homes = [str(name) for name in found["homes"] if name and Path(str(name)).name == name and name != ".."]
        return homes, str(found.get("fingerprint") or read_federation(folder / _FEDERATION).fingerprint)
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError, MedwardError):
        return [], ""


def _is_of(home: Path, fingerprint: str) -> bool:
    try:
        return read_federation(home / _FEDERATION).fingerprint == fingerprint
    except MedwardError:
        return False
