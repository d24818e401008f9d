"""Foreign text is escaped where it is put out."""

import pytest

from scarches_plus._text import for_html, for_line, for_markdown, for_table, for_terminal

pytestmark = pytest.mark.border


@pytest.mark.parametrize(
    ("escape", "given", "right"),
    [
        (for_terminal, "\x1b[31mred\x1b[0m", "[31mred[0m"),
        (for_line, "a\nb\tc", "a b c"),
        (for_html, "<b onclick='x'>", "&lt;b onclick=&#x27;x&#x27;&gt;"),
        (for_markdown, "[x](y) <b>|", "\\[x\\]\\(y\\) \\<b\\>\\|"),
        (for_table, "=1+2", "'=1+2"),
    ],
)
def test_each_output_has_its_escape(border, escape, given, right):
    border.works(
        lambda: escape(given),
        lambda found: found == right,
        kind="A6",
        case=escape.__name__,
        shown=f"{escape.__name__}({given!r})",
    )
