"""Files that a member that trains must not lose.

    secret           32 bytes; its draws derive from them: of training, of rounding, and, with other sources, of sums
    answers.sqlite   what it showed in sums, and the secrets of those under way (federation/sums/journal.py)
    carried          what clipping and rounding lost of its updates
    models/CID       the last shared models that it made
    rounds.jsonl     what became of the rounds (round_history.py)

All are readable by their owner only, and written whole or not at all.
"""

import io
import secrets
import zipfile
import zlib
from pathlib import Path

import numpy as np

from medward.federation.model.hospital import Carried
from medward.node.errors import NodeError
from medward.node.home.private_files import make_private_folder, read_private, write_private
from medward.node.training.earlier_format import check_participant_folder

_SECRET_BYTES = 32
_KEPT_MODELS = 8


class TrainingFiles:
    """The folder of a participant.

    Args:
        folder: private to this member; made where it is missing.

    Raises:
        EarlierFormat: it was written by a version with another kind of sums.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.answers = folder / "answers.sqlite"
        make_private_folder(folder)
        check_participant_folder(folder, self.answers)
        make_private_folder(folder / "models")

    def secret(self) -> bytes:
        """Return the member's secret, 32 bytes, drawn when it is first asked for.

        Raises:
            NodeError: the file was cut short or altered: what derives from a short secret could be guessed.
        """
        path = self._folder / "secret"
        if not path.exists():
            write_private(path, secrets.token_bytes(_SECRET_BYTES))
        found = read_private(path)
        if len(found) != _SECRET_BYTES:
            raise NodeError(
                f"{path} has {len(found)} bytes and not the {_SECRET_BYTES} of a secret: it is damaged; "
                "`medward federation rotate` makes new ones"
            )
        return found

    def keep_model(self, name: str, content: bytes) -> None:
        """Keep a shared model, and let go of what came long before."""
        write_private(self._folder / "models" / name, content)
        # Not by its time alone is the newest the newest: a clock may have been set back.
        others = [path for path in (self._folder / "models").iterdir() if path.name != name]
        others.sort(key=lambda path: path.stat().st_mtime_ns)
        for old in others[: -(_KEPT_MODELS - 1)]:
            old.unlink()

    def model(self, name: str) -> bytes | None:
        """Return a shared model that was kept, or None; its name is not checked."""
        path = self._folder / "models" / name
        return read_private(path) if path.exists() else None

    def carry(self, carried: Carried) -> None:
        """Keep what is carried to the next update."""
        buffer = io.BytesIO()
        np.savez(buffer, step=np.array(carried.step), before=carried.before, after=carried.after)
        write_private(self._folder / "carried", buffer.getvalue())

    def carried(self) -> Carried | None:
        """Return what was carried, or None where nothing was or the file is damaged."""
        path = self._folder / "carried"
        if not path.exists():
            return None
        try:
            found = np.load(io.BytesIO(read_private(path)), allow_pickle=False)
            return Carried(int(found["step"]), found["before"], found["after"])
        except (ValueError, TypeError, LookupError, OSError, EOFError, zipfile.BadZipFile, zlib.error):
            return None
