"""A host of the ward: sets up its namespace's interface, then does all that its roles say until its time is over.

python -m tools.lab.host SEED SECONDS KINDS AROUND NAME        (in the host's namespace; the laboratory starts it)

KINDS is as the laboratory was given it, or empty; AROUND is "yes" where the ward has surroundings.
"""

import os
import signal
import sys
import threading
import time
from random import Random

from tools.lab.devices import ROLES
from tools.lab.drawing import draw_ward
from tools.lab.loss import lose
from tools.lab.namespaces import NoNamespaces, set_up_host
from tools.lab.plan import Role

#: Seconds that a host outlives the capture, should nobody end it.
_MARGIN = 60


def _keep_doing(role: Role, address: str, random: Random) -> None:
    while True:
        try:
            ROLES[role.name](role.settings, address, random)
        except (OSError, EOFError, ValueError):
            # What it speaks with is away or under attack: a device tries again after a while.
            time.sleep(random.uniform(0.3, 2))


def _end(failure: threading.ExceptHookArgs) -> None:
    """End the host where one of its roles is defective: a ward that lacks a device is not the one that was drawn."""
    print(f"{failure.exc_type.__name__}: {failure.exc_value}", file=sys.stderr, flush=True)
    os._exit(1)


def main(seed: str, seconds: str, kinds: str, around: str, name: str) -> None:
    """Run a host."""
    signal.alarm(int(float(seconds)) + _MARGIN)
    threading.excepthook = _end
    ward = draw_ward(int(seed), float(seconds), [], kinds.split(",") if kinds else None, around == "yes")
    host = ward.host(name)
    set_up_host(host)
    if host.loss:
        lose(host.loss)
    print("up", flush=True)
    for number, role in enumerate(host.roles):
        random = Random(f"{seed} {name} {number}")
        threading.Thread(target=_keep_doing, args=(role, host.address, random), daemon=True).start()
        time.sleep(random.uniform(0, 0.3))
    while True:
        signal.pause()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except NoNamespaces as error:
        raise SystemExit(str(error)) from None
