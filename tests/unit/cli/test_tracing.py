from __future__ import annotations

import pytest

from router.cli.tracing import printable, shown_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, [bold]brackets[/bold], 人 and 60+", "plain, [bold]brackets[/bold], 人 and 60+"),
        ("\x1b[2J", "\\u001b[2J"),
        ("\x9b2J", "\\u009b2J"),
        ("one\r\ntwo\x00", "one\\u000d\\u000atwo\\u0000"),
        ("\u202eright to left", "\\u202eright to left"),
        ("x" * 5000, "x" * 5000),
    ],
)
def test_what_a_terminal_would_obey_is_escaped_and_nothing_else_is_changed(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert shown_text(text, "dim").plain == shown
