"""Detectors and redaction without clues: every pattern searched through the whole text, for each pass again.

This is how both began. It is slow and plain to see right, and the fast ones must find the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator

from journeyman.guards import detect, domains
from journeyman.guards.detect import SECRET, Finding, Span
from journeyman.guards.redact import REMOVED, SURROGATE, TOKEN, Redactor, _mask
from journeyman.guards.starts import even


def find_email(text: str) -> Iterator[Span]:
    for match in detect.EMAIL.finditer(text):
        yield match.span()


def find_secret(text: str) -> Iterator[Span]:
    patterns = (detect.PRIVATE_KEY, detect.KEY_SHAPES, detect.URL_CREDENTIALS)
    for pattern in (*patterns, detect.PASSWORD, detect.SPOKEN_PASSWORD, detect.BEARER):
        for match in pattern.finditer(text):
            yield match.span(match.lastindex or 0)
    for match in detect.KEY_WORD.finditer(text):
        if detect.has_high_entropy(match.group(1)[: detect.ENTROPY_CHARACTERS]):
            yield match.span(1)


def find_iban(text: str) -> Iterator[Span]:
    text = even(text)
    for match in detect.IBAN_START.finditer(text):
        length = detect.IBAN_LENGTHS.get(match.group(1).upper())
        end = detect._end_of_code(text, match.start(), length) if length else None
        if end and detect.is_iban(text[match.start() : end]):
            yield match.start(), end


def find_card(text: str) -> Iterator[Span]:
    text = even(text)
    for match in detect.CARD.finditer(text):
        digits = re.sub(r"[ -]", "", match.group())
        word = detect.CARD_WORD.search(text, max(0, match.start() - 40), match.start())
        if (detect.CARD_RANGES.fullmatch(digits) or word) and detect.is_luhn(digits):
            yield match.span()


def find_ssn(text: str) -> Iterator[Span]:
    text = even(text)
    for match in detect.SSN.finditer(text):
        yield match.span()


def find_ip(text: str) -> Iterator[Span]:
    for pattern in (detect.IPV4, detect.IPV6):
        for match in pattern.finditer(text):
            if detect.is_address(text, match):
                yield match.span()


def find_phone(text: str) -> Iterator[Span]:
    text = even(text)
    for pattern, low, high in (
        (detect.PHONE_INTERNATIONAL, 8, 21),
        (detect.PHONE_AMERICAN, 10, 19),
        (detect.PHONE_TRUNK, 9, 11),
        (detect.PHONE_BRACKET, 8, 13),
        (detect.PHONE_GROUPED, 8, 12),
        (detect.PHONE_AFTER_WORD, 7, 21),
        (detect.PHONE_LABELLED, 7, 21),
    ):
        for match in pattern.finditer(text):
            start, end = match.span(match.lastindex or 0)
            if low <= sum(character.isdigit() for character in text[start:end]) <= high:
                yield start, end


def find_domain(text: str) -> Iterator[Span]:
    for match in domains.RUN.finditer(text):
        yield from domains.read_run(text, match)


SEARCHES: dict[str, Callable[[str], Iterator[Span]]] = {
    SECRET: find_secret,
    "EMAIL": find_email,
    "IBAN": find_iban,
    "CARD": find_card,
    "SSN": find_ssn,
    "IP": find_ip,
    "PHONE": find_phone,
    "DOMAIN": find_domain,
}


def search(text: str, more: Collection[str] = ()) -> list[Finding]:
    """``detect`` by searches."""
    kept, taken = list[Finding](), bytearray(len(text))
    for kind, find in SEARCHES.items():
        if kind in detect.ASKED_FOR and kind not in more:
            continue
        for start, end in sorted(find(text), key=lambda span: (span[0], -span[1])):
            if end > start and not any(taken[start:end]):
                kept.append(Finding(kind, start, end))
                taken[start:end] = b"\1" * (end - start)
    return sorted(kept, key=lambda finding: finding.start)


class SearchingRedactor(Redactor):
    """A Redactor that finds by ``search``, anew for each pass, and knows values again by one pattern of all."""

    def _findings(self, text: str, is_verbatim: bool) -> list[Finding]:
        found = search(text)
        taken = _mask(text, [item for item in found if item.kind == SECRET])
        shaped = (Finding(match.group(1), *match.span()) for match in SURROGATE.finditer(text))
        literals = [item for item in shaped if not any(taken[item.start : item.end])]
        held = _mask(text, literals)
        found = [item for item in found if not any(held[item.start : item.end])]
        if is_verbatim or not self.is_personal:
            found = [item for item in found if item.kind == SECRET]
            literals = literals if self.is_personal else []
        return sorted([*literals, *found], key=lambda item: item.start)

    def _replace(self, text: str, is_verbatim: bool, findings: object) -> str:
        found = self._findings(text, is_verbatim)
        taken = _mask(text, found)
        spans = {
            (item.start, item.end): REMOVED if item.kind == SECRET else self._surrogates[text[item.start : item.end]]
            for item in found
        }
        for start, end, surrogate in [*self._known_secrets(text), *self._known_values(text, is_verbatim)]:
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
        longest_first = sorted(self._surrogates, key=len, reverse=True)
        for match in re.finditer(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", text):
            yield match.start(), match.end(), self._surrogates[match.group()]

    def _known_secrets(self, text: str) -> Iterator[tuple[int, int, str]]:
        if not self._secret_hashes:
            return
        for match in TOKEN.finditer(text):
            for token in (match.group(), match.group().rstrip(".:!?")):
                if self._hash(token) in self._secret_hashes:
                    yield match.start(), match.start() + len(token), REMOVED
                    break
