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
from pathlib import Path

import numpy as np

from medward.federation.model.hospital import Carried
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
        """Return the member's secret, drawn when it is first asked for."""
        path = self._folder / "secret"
        if not path.exists():
            write_private(path, secrets.token_bytes(_SECRET_BYTES))
        return read_private(path)

    def keep_model(self, name: str, content: bytes) -> None:
        """Keep a shared model, and let go of what came long before."""
        write_private(self._folder / "models" / name, content)
        kept = sorted((self._folder / "models").iterdir(), key=lambda path: path.stat().st_mtime_ns)
        for old in kept[:-_KEPT_MODELS]:
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
            with np.load(io.BytesIO(read_private(path)), allow_pickle=False) as found:
                return Carried(int(found["step"]), found["before"], found["after"])
        except (ValueError, KeyError, OSError):
            return None
