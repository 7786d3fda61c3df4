"""The logs of a node: a line for people on its standard error, JSON lines in a file, and no secrets in either.

A traceback goes into the file only.
"""

import json
import logging
import logging.handlers
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from medward.errors import printable

_FILE_BYTES = 10_000_000
_HIDDEN = "[secret]"


class _Redacting(logging.Formatter, ABC):
    """The last line of defence: no code passes a secret to the log, and if it did, this takes it out.

    Args:
        secrets: texts that must not appear, not in a traceback either.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        self._secrets = tuple(secret for secret in secrets if secret)

    def format(self, record: logging.LogRecord) -> str:
        text = self.lay_out(record)
        for secret in self._secrets:
            text = text.replace(secret, _HIDDEN)
        return text

    @abstractmethod
    def lay_out(self, record: logging.LogRecord) -> str:
        """Return the line before redaction."""


class _Lines(_Redacting):
    def lay_out(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        return f"{time} {record.levelname.lower():7} {printable(record.getMessage())}"


class _JsonLines(_Redacting):
    def lay_out(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "part": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def start_logging(path: Path, level: str, files: int, secrets: Iterable[str]) -> None:
    """Send what medward and its web servers log to standard error and to a file.

    Args:
        path: the file; when it has 10 MB it moves aside.
        level: of both.
        files: how many files are kept.
        secrets: texts that must never stand in a log.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = logging.handlers.RotatingFileHandler(
        path, maxBytes=_FILE_BYTES, backupCount=files - 1, encoding="utf-8", errors="backslashreplace"
    )
    hidden = tuple(secrets)
    kept.setFormatter(_JsonLines(hidden))
    shown = logging.StreamHandler(sys.stderr)
    shown.setFormatter(_Lines(hidden))
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    for handler in (kept, shown):
        root.addHandler(handler)
    logging.getLogger("medward").setLevel(level.upper())
    logging.getLogger("asyncio").setLevel(logging.ERROR)
