"""The costs of a watch over a stream, in one currency: missed attack windows, with bytes at a price."""

from dataclasses import dataclass

from medward.flows.schema import Group, Schema

# A number travels as a 32-bit float.
_BYTES_A_NUMBER = 4


@dataclass(frozen=True)
class WatchCosts:
    """What happens to a stream costs, in units of one attack window that passes unnoticed; times are in windows.

    Args:
        miss: an attack window that passes while nobody was alerted to its attack.
        late: an attack window that passes while its alert waits for an analyst.
        false_alarm: an alert in a benign window.
        wrong_class: an attack's first alert, where it names another attack.
        repeat: a further alert about an attack that was alerted to.
        early_bonus: what the first alert earns in an attack's first window; it falls to nothing over `early` windows.
        early: see there.
        handling: how long an alert, right or wrong, occupies the analyst.
        backlog: the most work that may wait; beyond it work is lost, not done.
        background: the chance a window of an alert from the hospital's other devices.
        kept: for how many windows bought evidence keeps coming.
        byte_price: the price of a byte of evidence, lambda.
    """

    miss: float = 1.0
    late: float = 0.5
    false_alarm: float = 3.0
    wrong_class: float = 1.0
    repeat: float = 0.2
    early_bonus: float = 2.0
    early: int = 5
    handling: int = 10
    backlog: int = 40
    background: float = 0.02
    kept: int = 4
    byte_price: float = 2.5e-4

    def escalation(self, schema: Schema) -> float:
        """Return what ESCALATE costs on a data set: the bytes of the evidence for `kept` windows at the byte price."""
        return self.byte_price * self.kept * evidence_bytes(schema)


def evidence_bytes(schema: Schema) -> int:
    """Return how many bytes the expensive features of one window are."""
    return _BYTES_A_NUMBER * sum(feature.group is Group.EXPENSIVE for feature in schema.features)
