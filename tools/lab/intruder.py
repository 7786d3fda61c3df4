"""One attack, in its attacker's namespace; prints when it began and ended, as JSON.

    python -m tools.lab.intruder SEED SECONDS KINDS AROUND METHODS NUMBER        (the laboratory starts it)

KINDS and METHODS are as the laboratory was given them, or empty; AROUND is "yes" where the ward has surroundings;
NUMBER tells which of the plan's attacks this is.
"""

import json
import signal
import sys
import time

from tools.lab.attacks import METHODS
from tools.lab.attacks.scene import Scene
from tools.lab.drawing import draw_ward
from tools.lab.namespaces import NoNamespaces, check_host

#: Seconds after which an attack that does not end is ended, and in which answers to its last packets still come.
_MARGIN, _SETTLES = 10, 0.3


def main(seed: str, seconds: str, kinds: str, around: str, methods: str, number: str) -> None:
    """Run an attack."""
    asked, drawn = (text.split(",") if text else None for text in (methods, kinds))
    ward = draw_ward(int(seed), float(seconds), asked, drawn, around == "yes")
    attack = ward.attacks[int(number)]
    signal.alarm(int(attack.seconds) + _MARGIN)
    check_host(ward.host(attack.attacker))
    with Scene(ward, attack) as scene:
        start = time.time()
        METHODS[attack.method](scene)
        time.sleep(_SETTLES)
        print(json.dumps({"start": start, "end": time.time()}), flush=True)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except NoNamespaces as error:
        raise SystemExit(str(error)) from None
