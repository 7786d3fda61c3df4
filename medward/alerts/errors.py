"""The errors of watching, each one sentence that says what to do."""

from medward.errors import MedwardError


class UnusableModel(MedwardError):
    """A model that cannot decide the meter's windows."""


class UnwritableAlerts(MedwardError):
    """A place for alerts that cannot be written to."""
