"""An audit as JSON values, for `medward audit --json` and for those who call from Python."""

from typing import Any

from medward.audit.findings import Finding
from medward.audit.homes import Audit


def document(audit: Audit) -> dict[str, Any]:
    """Return an audit as JSON values."""

    def shown(one: Finding) -> dict[str, Any]:
        places = {"home": one.home, "height": one.height, "round": one.round, "name": one.name}
        guilty = {"guilty": list(one.guilty)} if one.guilty else {}
        return {**{key: value for key, value in places.items() if value is not None}, "what": one.what, **guilty}

    what = "task" if audit.unit == "round" else "what"
    return {
        "folder": audit.of,
        "federation": audit.federation,
        "fingerprint": audit.fingerprint,
        "homes": list(audit.homes),
        "height": audit.height,
        audit.units: [{audit.unit: n, what: told, "ended": ended} for n, told, ended in audit.outcomes],
        "checks": {
            name: {
                "checked": found.checked,
                "problems": [shown(one) for one in found.problems],
                "remarks": [shown(one) for one in found.remarks],
            }
            for name, found in audit.groups.items()
        },
        "refused": [shown(one) for one in audit.refused],
        "signed": dict(audit.signed),
        "signing_keys": [{"member": name, "incarnation": n, "key": key} for name, n, key in audit.signing_keys],
        "demo": {"signed_by": list(audit.demo.signed_by), "keys_in_the_folder": list(audit.demo.keys_here)},
        "unchecked": [{"path": one.path, "why": one.why} for one in audit.unchecked],
        "unchecked_unnamed": audit.unnamed,
        "sound": audit.sound,
    }
