"""Text of others is shown as one line that changes nothing on a terminal; of what a library says, one line is told."""

from hypothesis import given
from hypothesis import strategies as st

from medward.errors import first_line, printable


@given(st.text())
def test_what_is_shown_can_be_printed_and_plain_text_stays(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert shown == text or not text.isprintable()


def test_what_moves_the_cursor_or_turns_text_is_escaped() -> None:
    assert printable("a\x1b[2J\n\u202eb\ud800") == r"a\x1b[2J\n\u202eb\ud800"


def test_error_that_says_nothing_is_told_by_its_name() -> None:
    assert first_line(ValueError("\n what is wrong\nand where")) == "what is wrong"
    assert first_line(ValueError(" \n")) == first_line(ValueError()) == "ValueError"
