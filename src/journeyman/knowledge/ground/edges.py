"""Where words and numbers end: "12" does not stand in "2012", nor in "12.5" or "1,120", and "cafe" does not in "cafe" with an accent behind it.

Letters, digits and the marks on them belong together; so do digits with a point, a comma or an apostrophe between them. An underscore is no letter (it marks
emphasis), and raised digits are none (they number footnotes). Scripts that write no blanks have an edge before each letter.
"""

from __future__ import annotations

import re
import unicodedata

UNSEGMENTED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U0003ffff"
)
"""Thai and Lao, Burmese, Khmer, the Japanese kana, Chinese characters."""
POINTS = ".,'’"
JOINER = "\u200d"
_unsegmented = re.compile(f"[{UNSEGMENTED}]").match


def is_edge(text: str, place: int) -> bool:
    """Whether no word and no number goes on from ``text[:place]`` into ``text[place:]``."""
    if place <= 0 or place >= len(text):
        return True
    left, right = text[place - 1], text[place]
    if right == " " or left == " ":
        return True
    if is_mark(right) or JOINER in (left, right):
        return False
    if is_wordy(left) and is_wordy(right):
        return bool(_unsegmented(left) or _unsegmented(right))
    if right in POINTS:
        return not (left.isdecimal() and text[place + 1 : place + 2].isdecimal())
    if left in POINTS:
        return not (right.isdecimal() and place > 1 and text[place - 2].isdecimal())
    return True


def is_wordy(letter: str) -> bool:
    """A letter, a digit or a mark on one."""
    if letter.isascii():
        return letter.isalnum()
    return unicodedata.category(letter) in _WORDY


def is_mark(letter: str) -> bool:
    """What has no place of its own: an accent, a vowel sign, a selector of another form, the colour of a skin."""
    return not letter.isascii() and (unicodedata.category(letter)[0] == "M" or "\U0001f3fb" <= letter <= "\U0001f3ff")


_WORDY = frozenset({"Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl"})
