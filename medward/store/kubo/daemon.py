"""A Kubo daemon of one's own: found, configured, started, watched and stopped."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Self

from medward.store.errors import KuboUnavailable, StoreError
from medward.store.kubo.configuration import Json, check_swarm_key, private_configuration
from medward.store.kubo.rpc import KuboRpc

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_MAX_RESTARTS = 5
_LOG_TAIL = 400


def find_kubo(program: Path | None = None) -> Path:
    """Return the Kubo program: the one given, that in MEDWARD_KUBO, `ipfs` on the path, or what `.ci/kubo` has built.

    Raises KuboUnavailable, saying what to install, if there is none.
    """
    named = program or os.environ.get("MEDWARD_KUBO")
    built = Path(os.environ.get("MEDWARD_ENGINES", Path.home() / ".cache" / "medward" / "engines")) / "ipfs"
    found = shutil.which(str(named) if named else "ipfs") or (None if named else shutil.which(built))
    if found is None:
        where = f"{named} is no program" if named else "there is no program 'ipfs' on the PATH"
        raise KuboUnavailable(
            f"Kubo is not installed ({where}): install Kubo 0.40 or newer from https://docs.ipfs.tech/install/, "
            "or name its program in MEDWARD_KUBO"
        )
    return Path(found)


class KuboDaemon:
    """Runs Kubo in a private swarm.

    Args:
        directory: the daemon's repository, made and configured if it is missing.
        swarm_key: the text of the federation's `swarm.key`, the same for every member.
        swarm_address: multiaddress on which other members are accepted.
        program: the Kubo program; see `find_kubo`.

    Use `start`, or the instance as a context. A daemon that dies is started again, at most five times.
    """

    def __init__(
        self,
        directory: Path,
        swarm_key: str,
        swarm_address: str = "/ip4/127.0.0.1/tcp/0",
        program: Path | None = None,
    ) -> None:
        self.directory = directory
        self._swarm_key = check_swarm_key(swarm_key)
        self._swarm_address = swarm_address
        self._program = find_kubo(program)
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None
        self._stopping = threading.Event()
        self._token = ""
        self.restarts = 0

    def start(self) -> Self:
        """Configure and start the daemon; returns when its RPC answers.

        Raises KuboUnavailable, with the end of its log, if it does not come up.
        """
        self._configure()
        self._launch()
        self._watcher = threading.Thread(target=self._watch, name="kubo", daemon=True)
        self._watcher.start()
        return self

    def stop(self) -> None:
        """Stop the daemon, by force if it takes longer than 20 seconds."""
        self._stopping.set()
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._watcher is not None:
            self._watcher.join()

    def rpc(self) -> KuboRpc:
        """Return a connection to the daemon's RPC."""
        return KuboRpc(_url((self.directory / "api").read_text(encoding="ascii")), self._token)

    @property
    def gateway_url(self) -> str:
        """Where the daemon's own gateway listens, on loopback."""
        return (self.directory / "gateway").read_text(encoding="ascii").strip()

    @property
    def pid(self) -> int | None:
        """The daemon's process, None while there is none."""
        return None if self._process is None or self._process.poll() is not None else self._process.pid

    def is_healthy(self) -> bool:
        """Say whether the daemon runs and answers."""
        return self._process is not None and self._process.poll() is None and self._answers()

    def version(self) -> str:
        """Return the daemon's version, such as 0.43.1."""
        rpc = self.rpc()
        try:
            return str(rpc.call("version")["Version"])
        finally:
            rpc.close()

    def swarm_addresses(self) -> list[str]:
        """Return the multiaddresses at which other members reach this daemon."""
        rpc = self.rpc()
        try:
            return list(rpc.call("id")["Addresses"])
        finally:
            rpc.close()

    def connect(self, addresses: list[str]) -> None:
        """Connect to another member at one of its addresses; KuboUnavailable if none can be reached."""
        if not addresses:
            raise KuboUnavailable("no address of the other member is known, so it cannot be connected to")
        rpc = self.rpc()
        failure: KuboUnavailable | None = None
        try:
            for address in addresses:
                try:
                    rpc.call("swarm/connect", arg=address)
                    return
                except KuboUnavailable as error:
                    failure = error
        finally:
            rpc.close()
        assert failure is not None
        raise failure

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _environment(self) -> dict[str, str]:
        settings = {
            "IPFS_PATH": str(self.directory),
            "LIBP2P_FORCE_PNET": "1",  # refuse to run outside a private swarm
            "IPFS_TELEMETRY": "off",
        }
        return {**os.environ, **settings}

    def _configure(self) -> None:
        path = self.directory / "config"
        if not path.exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            command = [str(self._program), "init", "--empty-repo"]
            done = subprocess.run(command, env=self._environment(), capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise KuboUnavailable(f"Kubo could not make a repository in {self.directory}: {done.stderr.strip()}")
        try:
            original = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            raise KuboUnavailable(
                f"{path} is damaged: move it away, and Kubo makes another; the blobs beside it stay"
            ) from None
        self._end_orphan(original)
        self._token = secrets.token_hex(32)
        configuration = private_configuration(original, self._swarm_address, self._token)
        _write_secret(path, json.dumps(configuration, indent=2))
        _write_secret(self.directory / "swarm.key", self._swarm_key)

    def _end_orphan(self, configuration: Json) -> None:
        """End a daemon that a killed node left behind in this directory; it knows us by its token."""
        secret = configuration.get("API", {}).get("Authorizations", {}).get("medward", {}).get("AuthSecret", "")
        self._token = secret.removeprefix("bearer:")
        if not self._token or not self._answers():
            return
        rpc = self.rpc()
        try:
            rpc.call("shutdown")
        finally:
            rpc.close()
        deadline = time.monotonic() + _STOP_SECONDS
        while self._answers() and time.monotonic() < deadline:
            time.sleep(0.05)

    def _launch(self) -> None:
        for name in ("api", "gateway"):
            (self.directory / name).unlink(missing_ok=True)
        with (self.directory / "daemon.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._program), "daemon", "--migrate"],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline or self._stopping.is_set():
                self._process.kill()
                self._process.wait()
                raise KuboUnavailable(f"Kubo did not start in {self.directory}: {self._end_of_log()}")
            time.sleep(0.05)

    def _watch(self) -> None:
        """Start the daemon again when it dies."""
        while self._process is not None:
            self._process.wait()
            if self._stopping.is_set() or self.restarts == _MAX_RESTARTS:
                return
            self.restarts += 1
            if self._stopping.wait(0.2 * 2**self.restarts):
                return
            try:
                self._launch()
            except StoreError:
                continue

    def _answers(self) -> bool:
        if not (self.directory / "api").exists() or not (self.directory / "gateway").exists():
            return False
        try:
            rpc = self.rpc()
        except (OSError, ValueError):
            return False
        try:
            return bool(rpc.call("id"))
        except KuboUnavailable:
            return False
        finally:
            rpc.close()

    def _end_of_log(self) -> str:
        log = (self.directory / "daemon.log").read_text(encoding="utf-8", errors="replace")
        return " ".join(log.split())[-_LOG_TAIL:] or "it wrote nothing to daemon.log"


def _url(multiaddress: str) -> str:
    """Return the URL of a multiaddress such as `/ip4/127.0.0.1/tcp/5001`."""
    _, _, host, _, port = multiaddress.strip().split("/")
    return f"http://{host}:{port}"


def _write_secret(path: Path, text: str) -> None:
    """Replace a file that only its owner may read."""
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.rename(path)
