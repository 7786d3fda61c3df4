"""The model of a home, HOME/model: a MODEL_DIR that always holds the model of one final round, complete.

    HOME/model             a link to the version that is in use
    HOME/model-versions/   the last two versions, each a MODEL_DIR (agents/sentinel/model.py)

A version is written beside the others and becomes the model by renaming a link, so that a crash at any moment leaves
the earlier model or the new one. The version before stays for whoever is reading it.
"""

import secrets
import shutil
from pathlib import Path

from medward.agents.sentinel.model import BadModel, SentinelModel, load_model
from medward.node.errors import NodeError
from medward.node.home.private_files import make_private_folder
from medward.whole_file import flush_folder

_VERSIONS = "model-versions"
_UNFINISHED = ".new"


class ModelFolder:
    """Where a home keeps its model.

    Args:
        link: HOME/model.
    """

    def __init__(self, link: Path) -> None:
        self._link = link
        self._versions = link.with_name(_VERSIONS)

    def shared_model(self) -> str | None:
        """Return the content identifier of the shared model that the folder holds, None where it holds none."""
        try:
            return load_model(self._link).provenance.shared_model
        except (BadModel, OSError):
            return None

    def replace(self, model: SentinelModel) -> None:
        """Have the folder hold another model.

        Raises:
            NodeError: it cannot be written; the earlier model is still there.
        """
        if self._link.exists() and not self._link.is_symlink():
            raise NodeError(f"{self._link} is not of this node's making; move it away, so that the model can be there")
        number = 0 if model.provenance.round is None else model.provenance.round
        version = self._versions / f"round-{number}-{secrets.token_hex(4)}"
        unfinished = version.with_suffix(_UNFINISHED)
        try:
            make_private_folder(self._versions)
            model.save(unfinished)
            flush_folder(unfinished)
            unfinished.rename(version)
            flush_folder(self._versions)
            link = self._link.with_name(f".model-{secrets.token_hex(4)}")
            link.symlink_to(Path(_VERSIONS) / version.name, target_is_directory=True)
            before = self._link.resolve()
            link.replace(self._link)
            flush_folder(self._link.parent)
        except OSError as error:
            raise NodeError(f"cannot write {self._link}: {error.strerror}; check the disk and its rights") from None
        self._remove_others(version, before)

    def _remove_others(self, *wanted: Path) -> None:
        """Remove earlier versions, and what a crash left."""
        names = {path.name for path in wanted}
        for path in self._versions.iterdir():
            if path.name not in names:
                shutil.rmtree(path, ignore_errors=True)
        for path in self._link.parent.glob(".model-*"):
            path.unlink(missing_ok=True)
