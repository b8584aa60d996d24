"""Text that a terminal would interpret, and how a test recognizes it."""

import unicodedata

# Colours, a new window title, cursor movement by a C1 control, overwriting by a carriage return, text that is shown
# backwards or not at all, line ends of every kind, and rich's own markup.
TEXT = (
    "\x1b[31mred\x1b]0;title\x07 \x9b2J \x08\x7f\r \u202eevil\u2069\u2066 \u200b\u200f\ufeff \u2028\u2029\x85\n"
    "Error: a line of its own [/x][bold]b[/] :smile: \U000e0041"
)


# Ids must not have C0 and C1 controls.
ID = "[/x]\u202e\u2066\u200b\u2028[red]:smile:\U000e0041"


# Ids of flows must be printable.
FLOW_ID = "[red]:smile:"


# A part of both texts in printed form.
MARK = "u202e"


ALLOWED = {"\n"}


def unprintable(text: str) -> set[str]:
    """Return the characters that a terminal interprets, hides or reorders."""
    return {
        character for character in text if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Cs")
    } - ALLOWED
