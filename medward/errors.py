"""The root of every error that medward raises on purpose.

Each part has a small hierarchy of its own below it. The message of such an error is one sentence that says what
happened, to what, and what to do; the command line prints it as it stands and never shows a traceback for it.
"""


class MedwardError(Exception):
    """Something that the user, a peer or a file got wrong; its text is written for a person."""


class BadUsage(MedwardError):
    """The command was called in a way that cannot work; the command line exits with 2 instead of 1."""


class Stopped(MedwardError):
    """A person stopped a command that can go on later; its text says how, and the command line exits with 130."""


def printable(text: str) -> str:
    """Return text of others as one line that changes nothing on a terminal: what cannot be printed is escaped."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def first_line(error: BaseException) -> str:
    """Return the first line of what a library says is wrong, or the error's name where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
