"""Giving up privileges once a ring is open: whatever a packet makes of this process then, it may do little with it.

An open ring needs no privilege (https://man7.org/linux/man-pages/man7/capabilities.7.html). All capabilities go from
every set of the process, for good, and so does the right to get any by starting another program.
"""

import ctypes
import os
from pathlib import Path

from medward.traffic.errors import TrafficError

#: linux/prctl.h and linux/capability.h.
_PR_CAPBSET_READ, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 23, 24, 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_CAPABILITY_VERSION_3 = 0x20080522
_MOST_CAPABILITIES = 64
_HELD = ("CapEff:", "CapPrm:")


class PrivilegesKept(TrafficError):
    """Privileges that the system did not take back."""


def drop_privileges() -> None:
    """Give up all capabilities of this process, which must have started no other thread before.

    Raises:
        PrivilegesKept: the system refused, or a thread that was started before has them still.
    """
    libc = ctypes.CDLL(None, use_errno=True)

    def call(code: int, *arguments: int) -> int:
        padded = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
        return int(libc.prctl(ctypes.c_int(code), *padded))

    if call(_PR_SET_NO_NEW_PRIVS, 1):
        raise _kept()
    for capability in range(_MOST_CAPABILITIES):
        # Reading fails beyond the last capability that the system knows. Without CAP_SETPCAP the bounding set stays,
        # which matters only to programs that are started, and those gain nothing any more.
        if call(_PR_CAPBSET_READ, capability) < 0:
            break
        call(_PR_CAPBSET_DROP, capability)
    call(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    head = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if libc.capset(ctypes.byref(head), ctypes.byref(nothing)):
        raise _kept()
    # Capabilities are a thread's own, and a library may have started some.
    for task in Path("/proc/self/task").iterdir():
        held = [line.split()[1] for line in (task / "status").read_text().splitlines() if line.startswith(_HELD)]
        if any(int(mask, 16) for mask in held):
            name = (task / "comm").read_text().strip()
            raise PrivilegesKept(f"a thread of this program ({name}) kept privileges: start it with CAP_NET_RAW alone.")


def _kept() -> PrivilegesKept:
    return PrivilegesKept(
        f"the system did not take back this program's privileges ({os.strerror(ctypes.get_errno())}): run it as a user "
        "who has CAP_NET_RAW alone."
    )
