"""Prints how much more memory an add or a fetch needs at its peak, in MiB. Run as a process of its own."""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from medward.store.cid import Cid
from medward.store.gateway.exchange import PeerExchange
from medward.store.gateway.peer import Peer
from medward.store.gateway.tls import TlsIdentity
from medward.store.local import open_directory


def peak_beyond_now(work: Callable[[], object]) -> float:
    """Run `work` and return by how many MiB its peak of resident memory passes what was resident before (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = _status("VmRSS")
    work()
    return (_status("VmHWM") - before) / 1024


def main() -> None:
    """Measure `add DIRECTORY FILE`, or `fetch DIRECTORY CID URL CERTIFICATE KEY TRUSTED`."""
    what, directory, *rest = sys.argv[1:]
    if what == "add":
        with open_directory(Path(directory)) as store:
            print(peak_beyond_now(lambda: store.add_file(Path(rest[0]), pin="bench")))
        return
    cid, url, certificate, key, trusted = rest
    identity = TlsIdentity(Path(certificate), Path(key), Path(trusted))
    with (
        tempfile.TemporaryDirectory(dir=Path(directory).parent) as folder,
        open_directory(Path(folder), exchange=PeerExchange([Peer("source", url)], identity)) as store,
    ):
        print(peak_beyond_now(lambda: store.fetch(Cid.parse(cid))))


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    main()
