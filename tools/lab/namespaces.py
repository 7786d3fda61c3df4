"""The laboratory's network: a hub in namespaces that die with the laboratory, and a namespace on it for each host.

`run_inside` starts the command as process 1 of a PID namespace. That process ends when the one that started it does,
however that ends; then the kernel kills all others in there, and with the last of them go the network, mount and user
namespaces. So nothing is left, and nobody has to clean up.
"""

import array
import contextlib
import fcntl
import importlib.util
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from tools.lab.plan import Host, Ward

ROOT = Path(__file__).resolve().parents[2]
SPAN = "span1"
_IN = "--inside"
_SIOCETHTOOL = 0x8946
#: linux/ethtool.h: checksums of both directions, scatter-gather, joined and split segments.
_OFFLOADS = (0x15, 0x17, 0x1F, 0x24, 0x2C)


class NoNamespaces(Exception):
    """The laboratory cannot run here, or not where it was started."""


def _unshare() -> list[str]:
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *user, "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]


def why_not() -> str | None:
    """Return why the laboratory cannot run here, in one sentence, or nothing where they can."""
    for program in ("unshare", "ip"):
        if shutil.which(program) is None:
            return f"The laboratory needs the program {program!r}: install util-linux and iproute2 on Linux."
    if importlib.util.find_spec("pynetdicom") is None:
        return "The laboratory needs pynetdicom for its DICOM devices: install it with `pip install pynetdicom`."
    attempt = (
        "mount -t tmpfs none /run && ip netns add test && ip link add hub type bridge && "
        "ip link add port0 type veth peer name eth0 netns test && ip netns exec test true"
    )
    tried = subprocess.run([*_unshare(), "sh", "-c", attempt], capture_output=True, text=True, check=False)
    if tried.returncode == 0:
        return None
    said = tried.stderr.strip().splitlines() or ["no reason was given"]
    return f"The laboratory needs network namespaces, which are not allowed here ({said[-1]}): run it as root on Linux."


def run_inside(arguments: Sequence[str]) -> int:
    """Run the laboratory's command with `arguments` inside new namespaces; return its exit status."""
    ours, theirs = os.pipe()
    command = [*_unshare(), sys.executable, str(ROOT / "tools" / "lab"), _IN, str(ours), *arguments]
    with subprocess.Popen(command, pass_fds=(ours,)) as process:
        os.close(ours)  # `theirs` stays open in this process alone, for as long as it lives
        signal.signal(signal.SIGTERM, lambda number, frame: process.kill())
        try:
            status = process.wait()
        except KeyboardInterrupt:
            process.kill()
            status = process.wait()
    os.close(theirs)
    return status if status >= 0 else 128 - status


def pipe_of(arguments: Sequence[str]) -> int | None:
    """Return the pipe that `run_inside` gave to a process with these arguments, or nothing for any other process."""
    inside = len(arguments) > 1 and arguments[0] == _IN and arguments[1].isdigit()
    return int(arguments[1]) if inside else None


def end_with(pipe: int) -> None:
    """End this process, and with it all of the laboratory, when nobody holds the pipe's other end any more."""

    def wait() -> None:
        with contextlib.suppress(OSError):
            while os.read(pipe, 1):
                pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def check_own_network() -> None:
    """Refuse to touch a network that is not the laboratory's own.

    Raises:
        NoNamespaces: this process is not the first of its PID namespace, or its network has other interfaces.
    """
    interfaces = [name for _, name in socket.if_nameindex()]
    if os.getpid() != 1 or interfaces != ["lo"]:
        raise NoNamespaces(
            f"This is no empty network of the laboratory's own (its interfaces: {', '.join(interfaces)}): run it "
            f"without {_IN}."
        )


def check_host(host: Host) -> None:
    """Refuse to act from anywhere but a host's own namespace.

    Raises:
        NoNamespaces: the interfaces are not those that the plan gives this host.
    """
    interfaces = [name for _, name in socket.if_nameindex()]
    address = Path("/sys/class/net/eth0/address")
    if interfaces != ["lo", "eth0"] or address.read_text().strip() != host.mac:
        raise NoNamespaces(f"This is not the namespace of the laboratory's {host.name}: start runs with tools/lab.")


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoNamespaces(f"`ip {' '.join(words)}` failed in the laboratory ({done.stderr.strip()}).")


def _set_ipv6(on: bool, interface: str) -> None:
    # Where the kernel has no IPv6 there is nothing to set.
    with contextlib.suppress(FileNotFoundError):
        Path(f"/proc/sys/net/ipv6/conf/{interface}/disable_ipv6").write_text("0" if on else "1")


def build_network(ward: Ward) -> None:
    """Build the hub, a namespace and a cable for each host, and `SPAN`, which sees each frame once."""
    check_own_network()
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)  # where `ip netns` keeps its names
    _set_ipv6(False, "default")
    # A bridge that forgets at once whom it heard is a hub: each port sees every frame.
    _ip("link", "add", "hub", "type", "bridge", "ageing_time", "0", "mcast_snooping", "0")
    _ip("link", "set", "hub", "up")
    for number, host in enumerate(ward.hosts):
        _ip("netns", "add", host.name)
        _ip("link", "add", f"port{number}", "type", "veth", "peer", "name", "eth0", "netns", host.name)
        _ip("link", "set", f"port{number}", "master", "hub", "up")
        for words in (
            ("link", "set", "lo", "up"),
            ("link", "set", "eth0", "address", host.mac),
            ("addr", "add", f"{host.address}/{32 if host.gateway else 24}", "dev", "eth0"),
        ):
            _ip("-n", host.name, *words)
    _ip("link", "add", "span0", "type", "veth", "peer", "name", SPAN)
    _ip("link", "set", "span0", "master", "hub", "up")
    _ip("link", "set", SPAN, "up")


def set_up_host(host: Host) -> None:
    """From inside a host's namespace: frames as they are on a wire, its TTL, IPv6 or none; then go up."""
    check_host(host)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for command in _OFFLOADS:
            value = array.array("B", struct.pack("II", command, 0))
            request = struct.pack("16sP16x", b"eth0", value.buffer_info()[0])
            with contextlib.suppress(OSError):  # a kernel without that offload has nothing to turn off
                fcntl.ioctl(control, _SIOCETHTOOL, request)
    Path("/proc/sys/net/ipv4/ip_default_ttl").write_text(str(host.ttl))
    Path("/proc/sys/net/ipv4/ip_forward").write_text("0")
    # Half a minute of answers to a flood that is over would be labelled as nobody's attack.
    Path("/proc/sys/net/ipv4/tcp_synack_retries").write_text("1")
    _set_ipv6(host.ipv6, "eth0")
    _ip("link", "set", "eth0", "up")
    if host.gateway:
        Path("/proc/sys/net/ipv4/conf/all/accept_redirects").write_text("0")
        _ip("route", "add", host.gateway, "dev", "eth0")
        network = host.address.rpartition(".")[0]
        _ip("route", "add", f"{network}.0/24", "via", host.gateway)


def start_in(host: Host, module: str, *arguments: str) -> "subprocess.Popen[str]":
    """Start a Python module of the laboratory in a host's namespace; its standard output is a pipe."""
    return subprocess.Popen(
        ["ip", "netns", "exec", host.name, sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
