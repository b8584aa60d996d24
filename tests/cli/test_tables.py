"""Tables on a terminal and in a pipe, and how times are shown."""

import io
import os
import re
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enroll import output
from enroll.output import print_note, print_table, styled
from enroll.tables import Cell, Column, Lines, cell_width, lay_out, tab_separated
from enroll.times import Times

UUID = "8f14e45f-ceea-467a-9c3e-1b1e2f3a4b5c"
COLUMNS = [Column("event"), Column("reason"), Column("occurred"), Column("message", is_message=True)]


def lines(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int, **options: Any) -> list[str]:
    return [line.text for line in lay_out(columns, rows, width, **options)]


def test_table_that_fits_has_a_line_for_each_row() -> None:
    rows = [["e1", "WRONG_TYPE", "10:00:00", "got 7"], ["e2", "TOO_LARGE", "10:00:01", "got 8"]]
    assert lines(COLUMNS, rows, 80) == [
        "event  reason      occurred  message",
        "e1     WRONG_TYPE  10:00:00  got 7",
        "e2     TOO_LARGE   10:00:01  got 8",
    ]


def test_long_message_is_below_its_row() -> None:
    message = "detail.properties.hs_form_id: expected text, for example f-1; got 7"
    rows = [[UUID, "WRONG_TYPE", "10:00:00", message], ["e2", "TOO_LARGE", "10:00:01", ""]]
    assert lines(COLUMNS, rows, 80)[1:] == [
        f"{UUID}  WRONG_TYPE  10:00:00",
        f"    {message}",
        f"e2{' ' * 36}TOO_LARGE   10:00:01",
    ]


def test_last_columns_move_below_a_row_that_is_too_wide() -> None:
    columns = [Column("event"), Column("record"), Column("type"), Column("portal")]
    rows = [[UUID, "contact/101", "forms.submitted", "a-portal"], ["e2", "contact/102", "calls.ended", "b-portal"]]
    assert lines(columns, rows, 60) == [
        f"event{' ' * 33}record",
        f"{UUID}  contact/101",
        "    type forms.submitted · portal a-portal",
        f"e2{' ' * 36}contact/102",
        "    type calls.ended · portal b-portal",
    ]


def test_constant_column_is_named_once() -> None:
    rows = [["e1", "WRONG_TYPE", None, "x"], ["e2", "WRONG_TYPE", None, "y"]]
    assert lines(COLUMNS, rows, 80) == [
        "All rows: reason WRONG_TYPE",
        "Empty in all rows: occurred",
        "event  message",
        "e1     x",
        "e2     y",
    ]
    assert lines(COLUMNS, rows, 80, is_full=True)[0] == "event  reason      occurred  message"


def test_single_row_keeps_its_columns() -> None:
    assert lines(COLUMNS, [["e1", "WRONG_TYPE", "10:00:00", "x"]], 80)[0] == "event  reason      occurred  message"


def test_several_lines_of_a_cell_are_below_the_row() -> None:
    rows = [["e1", Lines(["first", "second"])], ["e2", Lines(["only"])]]
    assert lines([Column("event"), Column("why")], rows, 80)[1:] == [
        "e1",
        "    first",
        "    second",
        "e2",
        "    why only",
    ]


def test_wide_characters_need_two_columns() -> None:
    assert cell_width("日本") == 4
    rows = [["日本", "x"], ["ab", "y"]]
    assert lines([Column("a"), Column("b")], rows, 80)[1:] == ["日本  x", "ab    y"]


WORDS = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=40)


@given(
    st.lists(st.tuples(WORDS, WORDS, WORDS, st.lists(WORDS, max_size=20).map(" ".join)), min_size=1, max_size=5),
    st.sampled_from([80, 120]),
)
def test_lines_fit_and_no_value_is_cut(rows: list[tuple[str, str, str, str]], width: int) -> None:
    shown = lines(COLUMNS, rows, width)
    assert all(len(line) <= width for line in shown)
    words = re.split(r"\s+", " ".join(shown))
    assert {word for row in rows for cell in row for word in cell.split()} <= set(words)


def test_pipe_has_every_column_separated_by_tabs() -> None:
    rows = [["e1", "WRONG_TYPE", None, Lines(["a", "b"])], ["e2", "WRONG_TYPE", None, "c" * 500]]
    assert list(tab_separated(COLUMNS, rows)) == [
        "event\treason\toccurred\tmessage",
        "e1\tWRONG_TYPE\t\ta; b",
        f"e2\tWRONG_TYPE\t\t{'c' * 500}",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    terminal = Terminal()
    # pytest replaces sys.stdout after this fixture.
    monkeypatch.setattr(output.LineConsole, "file", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return terminal


def test_terminal_has_colors(terminal: Terminal) -> None:
    output.console.print(styled("ENROLLED", "green"))
    assert terminal.getvalue() == "\x1b[32mENROLLED\x1b[0m\n"


SENTENCE = "  - The record enters the flow when the property hs_form_id of the submitted form is f-1."


def test_long_line_is_wrapped_on_a_terminal(terminal: Terminal) -> None:
    output.console.print(SENTENCE)
    assert terminal.getvalue().splitlines() == [
        "  - The record enters the flow when the property hs_form_id of the submitted",
        "    form is f-1.",
    ]


def test_colors_continue_on_the_next_line(terminal: Terminal) -> None:
    output.console.print("a" * 70, styled("b" * 8 + " ccc", "red"))
    assert terminal.getvalue() == f"{'a' * 70} \x1b[31m{'b' * 8}\x1b[0m\n  \x1b[31mccc\x1b[0m\n"


def test_line_to_copy_stays_whole(terminal: Terminal) -> None:
    output.console.print(SENTENCE, is_wrapped=False)
    assert terminal.getvalue() == f"{SENTENCE}\n"


def test_line_in_a_pipe_stays_whole(capsys: pytest.CaptureFixture[str]) -> None:
    output.console.print(SENTENCE)
    assert capsys.readouterr().out == f"{SENTENCE}\n"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colors_are_off(name: str, value: str, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    print_table(("a", "b"), [("x", styled("ENROLLED", "green"))], "Title")
    print_note("1 event")
    assert "\x1b" not in terminal.getvalue()


def test_pipe_has_no_colors_and_no_notes(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("a", "b"), [("x", styled("ENROLLED", "green"))], "Title")
    print_note("1 event")
    captured = capsys.readouterr()
    assert captured.out == "a\tb\nx\tENROLLED\n"
    assert captured.err == "1 event\n"


def test_tab_in_a_value_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("a", "b"), [("x\ty", Lines(["1\t2", "3\n4"]))])
    assert capsys.readouterr().out == "a\tb\nx\\ty\t1\\t2; 3\\n4\n"


def test_character_that_the_terminal_lacks_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    output.console.print("✓ ü")
    assert raw.getvalue() == b"\\u2713 \\xfc\n"


# Times ----------------------------------------------------------------------------------------------------------------

NOW = datetime(2026, 11, 24, 23, 30, tzinfo=UTC)


@pytest.fixture
def _dublin_in_summer(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("TZ", "Etc/GMT-1")
    time.tzset()
    yield
    monkeypatch.undo()
    os.environ.pop("TZ", None)
    time.tzset()


@pytest.mark.usefixtures("_dublin_in_summer")
@pytest.mark.parametrize(
    ("moment", "local", "utc"),
    [
        ("2026-11-24T23:10:05.250Z", "00:10:05", "23:10:05"),
        ("2026-11-24T10:00:00Z", "2026-11-24 11:00:00", "10:00:00"),
        (1_795_510_800_000, "2026-11-24 10:00:00", "09:00:00"),
        ("2026-11-23T10:00:00+02:00", "2026-11-23 09:00:00", "2026-11-23 08:00:00"),
        (None, "", ""),
        ("not a time", "not a time", "not a time"),
        (10**18, str(10**18), str(10**18)),
    ],
)
def test_time_is_local_and_has_a_date_only_if_it_is_not_today(moment: Any, local: str, utc: str) -> None:
    assert Times(now=NOW).text(moment) == local
    assert Times(is_utc=True, now=NOW).text(moment) == utc


def test_time_in_a_pipe_is_complete_and_in_utc() -> None:
    assert Times(is_full=True).text("2026-11-24T12:00:00+02:00") == "2026-11-24T10:00:00.000Z"
    assert Times(is_full=True).text(1_795_510_800_123) == "2026-11-24T09:00:00.123Z"
