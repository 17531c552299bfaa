"""A text that is edited in place, key by key: a value and a place in it. Knows nothing of terminals."""

from __future__ import annotations

from dataclasses import dataclass, replace

from journeyman.cli.keyboard import Key


@dataclass(frozen=True, slots=True)
class Edited:
    """``place`` is the number of characters before the cursor."""

    text: str
    place: int

    def press(self, key: Key) -> Edited:
        """What a key makes of it; one that edits nothing changes nothing."""
        if key.text or key.name == "newline":
            return self._insert(key.text or "\n")
        match key.name:
            case "backspace" if self.place:
                return Edited(self.text[: self.place - 1] + self.text[self.place :], self.place - 1)
            case "delete":
                return replace(self, text=self.text[: self.place] + self.text[self.place + 1 :])
            case "left":
                return replace(self, place=max(0, self.place - 1))
            case "right":
                return replace(self, place=min(len(self.text), self.place + 1))
            case "home":
                return replace(self, place=0)
            case "end":
                return replace(self, place=len(self.text))
            case "clear":
                return Edited(self.text[self.place :], 0)
        return self

    def _insert(self, text: str) -> Edited:
        return Edited(self.text[: self.place] + text + self.text[self.place :], self.place + len(text))
