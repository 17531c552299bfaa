"""Redaction: findings become typed surrogates such as ``<EMAIL_1>``, the same one for the same value in one row.

    text ── Redactor.text ──► text with surrogates ── Redactor.restore ──► text

The inverse lives in memory only, in the Redactor of one row. Secrets become ``<SECRET>`` for good: the Redactor keeps
no more of them than a keyed hash, so that a later text of the same row loses them too.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b

from journeyman.core.canonical import Json
from journeyman.guards.detect import ASKED_FOR, DETECTORS, SECRET, Finding, detect
from journeyman.guards.starts import occurrences

REMOVED = f"<{SECRET}>"
KINDS = tuple(kind for kind in DETECTORS if kind != SECRET)
USUAL_KINDS = tuple(kind for kind in KINDS if kind not in ASKED_FOR)
SURROGATE = re.compile(rf"<({'|'.join(KINDS)})_([0-9]{{1,9}})>")
SECRET_KEY = re.compile(
    r"(?:.*[_ -])?(?:password|passwd|passphrase|passcode|pwd|secret|api[_ -]?key|private[_ -]?key|access[_ -]?token)",
    re.I,
)
TOKEN = re.compile(r"[^\s\"'`<>,;()\[\]{}]+")
EDGES = ".:!?"
Find = Callable[[str, bool], list[Finding]]


@dataclass(frozen=True, slots=True)
class Redaction:
    """The redacted ``texts``, in order, the ``redactor`` that restores them, and findings counted by kind."""

    texts: tuple[str, ...]
    redactor: Redactor
    counts: dict[str, int]


class Redactor:
    """Redacts the texts of one row.

    A value found once is replaced in every later text too, with or without the words that gave it away. Text that
    looks like a surrogate is itself replaced by one, so that restoring is exact.

    Args:
        is_personal: replace personal data as well as secrets; False for a task with ``redact: false``.
        more: kinds to replace that are found only where they are asked for: a task's ``redact_also``.
    """

    def __init__(self, *, is_personal: bool = True, more: Collection[str] = ()) -> None:
        self.is_personal = is_personal
        self.more = more
        self.counts: dict[str, int] = {}
        self._surrogates: dict[str, str] = {}
        self._values: dict[str, str] = {}
        self._numbers: dict[str, int] = {}
        self._salt = b""
        self._secret_hashes: set[bytes] = set()

    def text(self, text: str, *, is_verbatim: bool = False) -> str:
        """Redact one text. Secrets, and what looks like a surrogate, go even when it is verbatim."""
        findings = self._findings(text, is_verbatim)
        self._observe(text, findings)
        return self._replace(text, is_verbatim, findings)

    def value(self, value: Json, verbatim: Collection[str] = ()) -> Json:
        """Redact every string of a JSON value, keys included.

        Args:
            verbatim: top-level keys whose personal data stays; secrets, and what looks like a surrogate, go there too.
        """
        find = cache(self._findings)  # for this call alone: findings and texts are not kept
        for text, is_verbatim in _strings(value, verbatim):
            self._observe(text, find(text, is_verbatim))
        return self._rewrite(value, verbatim, False, find)

    def restore(self, text: str) -> str:
        """Put the values back: the exact inverse of ``text`` where it held no secret. Unknown surrogates stay."""
        return SURROGATE.sub(lambda match: self._values.get(match.group(), match.group()), text)

    def restore_value(self, value: Json) -> Json:
        """``restore`` for every string of a JSON value."""
        if isinstance(value, str):
            return self.restore(value)
        if isinstance(value, list):
            return [self.restore_value(item) for item in value]
        if isinstance(value, dict):
            return {self.restore(key): self.restore_value(item) for key, item in value.items()}
        return value

    def _observe(self, text: str, findings: Sequence[Finding]) -> None:
        """Give surrogates to what a text holds, in order of place."""
        for finding in findings:
            value = text[finding.start : finding.end]
            self.counts[finding.kind] = self.counts.get(finding.kind, 0) + 1
            if finding.kind == SECRET:
                self._secret_hashes |= {self._hash(token) for token in _tokens(value)} if value != REMOVED else set()
            elif value not in self._surrogates:
                number = self._numbers[finding.kind] = self._numbers.get(finding.kind, 0) + 1
                surrogate = f"<{finding.kind}_{number}>"
                self._surrogates[value], self._values[surrogate] = surrogate, value

    def _findings(self, text: str, is_verbatim: bool) -> list[Finding]:
        found = detect(text, self.more)
        if "<" in text:
            found = _with_surrogates(text, found)
        if not self.is_personal:
            return [item for item in found if item.kind == SECRET]
        return [item for item in found if _goes_anyway(text, item)] if is_verbatim else found

    def _replace(self, text: str, is_verbatim: bool, findings: Sequence[Finding]) -> str:
        known = [*self._known_secrets(text), *self._known_values(text, is_verbatim)]
        if not findings and not known:
            return text
        taken = _mask(text, findings)
        spans = {
            (item.start, item.end): REMOVED if item.kind == SECRET else self._surrogates[text[item.start : item.end]]
            for item in findings
        }
        for start, end, surrogate in known:
            if not any(taken[start:end]):
                spans[start, end] = surrogate
                taken[start:end] = b"\1" * (end - start)
        pieces, place = list[str](), 0
        for (start, end), surrogate in sorted(spans.items()):
            pieces += [text[place:start], surrogate]
            place = end
        return "".join([*pieces, text[place:]])

    def _known_values(self, text: str, is_verbatim: bool) -> Iterator[tuple[int, int, str]]:
        if is_verbatim or not self._surrogates:
            return
        found = [(place, -len(value), value) for place, value in occurrences(text, self._surrogates)]
        place = 0
        for start, _, value in sorted(found):  # at one place the longest first
            end = start + len(value)
            if start >= place and not _is_within_word(text, start, end):
                yield start, end, self._surrogates[value]
                place = end

    def _known_secrets(self, text: str) -> Iterator[tuple[int, int, str]]:
        if not self._secret_hashes:
            return
        for match in TOKEN.finditer(text):
            for token in dict.fromkeys((match.group(), match.group().rstrip(EDGES))):
                if _is_telling(token) and self._hash(token) in self._secret_hashes:
                    yield match.start(), match.start() + len(token), REMOVED
                    break

    def _rewrite(self, value: Json, verbatim: Collection[str], is_verbatim: bool, find: Find) -> Json:
        if isinstance(value, str):
            return self._replace(value, is_verbatim, find(value, is_verbatim))
        if isinstance(value, list):
            return [self._rewrite(item, (), is_verbatim, find) for item in value]
        if not isinstance(value, dict):
            return value
        return {
            self._replace(key, is_verbatim, find(key, is_verbatim)): REMOVED
            if isinstance(item, str) and item and SECRET_KEY.fullmatch(key)
            else self._rewrite(item, (), is_verbatim or key in verbatim, find)
            for key, item in value.items()
        }

    def _hash(self, token: str) -> bytes:
        self._salt = self._salt or secrets.token_bytes(16)  # most rows have no secret
        return blake2b(token.encode("utf-8", "surrogatepass"), key=self._salt, digest_size=16).digest()


def redact(texts: Sequence[str], *, keep: Collection[int] = ()) -> Redaction:
    """Redact texts that belong together: a value that one of them gives away is replaced in all.

    Args:
        keep: indexes of verbatim texts, which lose secrets only.
    """
    redactor = Redactor()
    found = [redactor._findings(text, index in keep) for index, text in enumerate(texts)]
    for text, findings in zip(texts, found, strict=True):
        redactor._observe(text, findings)
    redacted = tuple(
        redactor._replace(text, index in keep, findings)
        for index, (text, findings) in enumerate(zip(texts, found, strict=True))
    )
    return Redaction(redacted, redactor, dict(redactor.counts))


def _tokens(value: str) -> set[str]:
    """What later texts are searched for: the secret and, if it has few, its words; plain words say nothing alone."""
    words = TOKEN.findall(value)
    tokens = {value, *(words if len(words) < 4 else ())}
    tokens |= {token.rstrip(EDGES) for token in tokens}
    return {token for token in tokens if _is_telling(token)}


def _is_telling(token: str) -> bool:
    """Long enough, and no plain word: such a token alone is never taken for a secret."""
    return len(token) >= 4 and not (token.isalpha() and token[1:].islower())


def _strings(value: Json, verbatim: Collection[str], is_verbatim: bool = False) -> Iterator[tuple[str, bool]]:
    if isinstance(value, str):
        yield value, is_verbatim
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item, (), is_verbatim)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key, is_verbatim
            yield from _strings(item, (), is_verbatim or key in verbatim)


def _with_surrogates(text: str, found: list[Finding]) -> list[Finding]:
    """The findings and what looks like a surrogate, which wins over all but secrets, in order of place."""
    taken = _mask(text, [item for item in found if item.kind == SECRET])
    shaped = (Finding(match.group(1), *match.span()) for match in SURROGATE.finditer(text))
    literals = [item for item in shaped if not any(taken[item.start : item.end])]
    held = _mask(text, literals)
    kept = [item for item in found if not any(held[item.start : item.end])]
    return sorted([*literals, *kept], key=lambda item: item.start)


def _goes_anyway(text: str, item: Finding) -> bool:
    """Secrets, and what looks like a surrogate: it would come back as the value that has it."""
    return item.kind == SECRET or SURROGATE.fullmatch(text, item.start, item.end) is not None


def _is_within_word(text: str, start: int, end: int) -> bool:
    """A letter, digit or underscore, which is what ``\\w`` matches, stands directly before or behind."""
    return any(edge.isalnum() or edge == "_" for edge in text[max(0, start - 1) : start] + text[end : end + 1])


def _mask(text: str, findings: Sequence[Finding]) -> bytearray:
    """One byte per code point of the text, 1 where a finding lies."""
    mask = bytearray(len(text))
    for item in findings:
        mask[item.start : item.end] = b"\1" * (item.end - item.start)
    return mask
