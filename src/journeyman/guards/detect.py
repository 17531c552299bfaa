"""Deterministic detectors of personal data and secrets: one function per kind, listed in ``DETECTORS``.

Patterns plus check digits, no model: names and postal addresses are not looked for. Every pattern is bounded, so a
long text costs linear time. A detector yields spans ``(start, end)`` in code points. It tries each pattern only where
a match can begin: at a word of the pattern's list, at a number, or so far before a mark as the pattern reaches.
Kinds in ``ASKED_FOR`` are found only where somebody asks for them.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from journeyman.guards.domains import find_domain
from journeyman.guards.starts import Clues, before, find_all, look, matches, places

Span = tuple[int, int]

SECRET = "SECRET"
DOMAIN = "DOMAIN"
ENTROPY_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class Finding:
    """``text[start:end]`` is of this ``kind``: a key of ``DETECTORS``."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Detector:
    """Finds one kind; ``is_possible`` is false, or empty, for texts in which ``find`` finds nothing for sure."""

    find: Callable[[Clues], Iterator[Span]]
    is_possible: Callable[[Clues], object]


EMAIL_REACH = 64  # the longest local part
EMAIL_FIRST = re.compile(r"(?<![\w.+%-])[\w+%-]")
EMAIL = re.compile(
    r"(?<![\w.+%-])[\w+%-](?:[\w.+%'-]{0,62}[\w+%-])?@(?:[\w-]{1,63}\.){1,5}"
    r"(?:xn--[A-Za-z0-9-]{2,59}|[^\W\d_]{2,24})(?!\w)"
)
SCHEME_REACH = 21
URL_CREDENTIALS = re.compile(r"\b[a-zA-Z][a-zA-Z0-9+.-]{1,20}://([^\s/@:]{0,200}:[^\s/@]{1,200})@")
WORD_FIRST = re.compile(r"\b\w")
PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z ]{0,40}-----|\Z)", re.S
)
KEY_SHAPE_WORDS = {  # what each shape begins with, by a character of it that may be missing from the whole text
    "A": ("AKIA", "ASIA", "AGPA", "AIDA", "AROA", "ANPA", "AIza"),
    "_": ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "sk_", "rk_", "pk_", "hf_", "npm_"),
    "-": ("glpat-", "sk-", "pypi-"),
    "x": ("xox",),
    "/": ("https://hooks.slack.com",),
    "2": ("ya29.",),
    "J": ("eyJ",),
}
KEY_SHAPES = re.compile(
    r"(?<![\w-])(?:"
    r"(?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA)[A-Z0-9]{16}"  # AWS
    r"|gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_[A-Za-z0-9_]{22,255}|glpat-[A-Za-z0-9_-]{20,64}"
    r"|sk-[A-Za-z0-9_-]{20,255}|[srp]k_(?:live|test)_[A-Za-z0-9]{16,255}"  # OpenAI, Anthropic; Stripe
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,255}|https://hooks\.slack\.com/services/[A-Za-z0-9/]{20,80}"
    r"|AIza[0-9A-Za-z_-]{35}|ya29\.[0-9A-Za-z_-]{20,255}"  # Google
    r"|hf_[A-Za-z0-9]{30,64}|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,255}"
    r"|eyJ[A-Za-z0-9_-]{8,4000}\.eyJ[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{0,4000}"  # JWT
    r")(?![A-Za-z0-9])"
)
# What PASSWORD and SPOKEN_PASSWORD begin with, in small letters.
PASSWORD_WORDS = ("passw", "passphrase", "passcode", "pwd", "client", "api", "secret", "access", "auth")
PASSWORD = re.compile(
    r"(?<![^\W_])(?:password|passwort|passwd|passphrase|passcode|pwd|client[_ -]?secret|api[_ -]?key|secret[_ -]?key"
    r"|access[_ -]?key|access[_ -]?token|auth[_ -]?token)[\"']?\s{0,3}(?:[:=]|:=|=>)\s{0,3}"
    r"(?:\"([^\"\n]{3,200})\"|'([^'\n]{3,200})'|([^\s\"'<>,;]{3,200}))",
    re.I,
)
SPOKEN_PASSWORD = re.compile(
    r"(?<!\w)(?:password|passphrase|passcode|pwd|api key)\s(?:is|was|to)\s[\"']?((?=\S{0,60}\d)[^\s\"'<>,;]{5,60})",
    re.I,
)
BEARER = re.compile(r"(?<!\w)(?:Bearer|Basic)\s([A-Za-z0-9+/_.=-]{16,4000})")
KEY_WORDS = ("key", "token", "secret", "credential", "auth", "signature")
# One of these, in small letters, stands in every text that holds a secret.
SECRET_WORDS = tuple(
    dict.fromkeys(
        [word.lower() for words in KEY_SHAPE_WORDS.values() for word in words]
        + [*PASSWORD_WORDS, *KEY_WORDS, "bearer", "basic", "://", "-----begin "]
    )
)
KEY_WORD = re.compile(
    r"(?<![^\W_])(?:key|token|secret|credentials?|auth|signature)\b[^\w\n]{0,5}(?:is[^\w\n]{1,3})?"
    r"([A-Za-z0-9+/_=-]{20,512})(?![A-Za-z0-9+/_=-])",
    re.I,
)
IBAN_DIGITS = re.compile(r"[0-9](?<=[A-Za-z]{2}[0-9])")
IBAN_START = re.compile(r"(?<![A-Za-z0-9])([A-Za-z]{2})[0-9]{2}(?=[ -]?[A-Za-z0-9])")
IBAN_LENGTHS = {  # ISO 13616 registry
    **dict.fromkeys(("NO",), 15),
    **dict.fromkeys(("BE",), 16),
    **dict.fromkeys(("DK", "FI", "FO", "GL", "NL"), 18),
    **dict.fromkeys(("MK", "SI"), 19),
    **dict.fromkeys(("AT", "BA", "EE", "KZ", "LT", "LU", "XK"), 20),
    **dict.fromkeys(("CH", "CR", "HR", "LI", "LV"), 21),
    **dict.fromkeys(("BG", "BH", "DE", "GB", "GE", "IE", "ME", "RS", "VA"), 22),
    **dict.fromkeys(("AE", "GI", "IL", "IQ", "TL"), 23),
    **dict.fromkeys(("AD", "CZ", "ES", "MD", "PK", "RO", "SA", "SE", "SK", "TN", "VG"), 24),
    **dict.fromkeys(("LY", "PT", "ST"), 25),
    **dict.fromkeys(("IS", "TR"), 26),
    **dict.fromkeys(("FR", "GR", "IT", "MC", "MR", "SM"), 27),
    **dict.fromkeys(("AL", "AZ", "BY", "CY", "DO", "EG", "GT", "HU", "LB", "NI", "PL", "SV"), 28),
    **dict.fromkeys(("BR", "PS", "QA", "UA"), 29),
    **dict.fromkeys(("JO", "KW", "MU"), 30),
    **dict.fromkeys(("MT", "SC"), 31),
    **dict.fromkeys(("LC",), 32),
}
CARD = re.compile(r"(?<![\w.,+-])[1-6](?:[ -]?[0-9]){11,18}(?![\w-])")
CARD_RANGES = re.compile(
    r"4[0-9]{15}|4[0-9]{18}|5[1-5][0-9]{14}|2[2-7][0-9]{14}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}"
    r"|35[0-9]{14}|6(?:011|4[4-9][0-9]|5[0-9]{2})[0-9]{12}|(?:2131|1800)[0-9]{11}"
)
CARD_WORD = re.compile(r"(?:card|cc|visa|mastercard|amex|maestro)\W.{0,24}\Z", re.I | re.S)
SSN = re.compile(r"(?<![\w-])(?!000|666|9)[0-9]{3}-(?!00)[0-9]{2}-(?!0000)[0-9]{4}(?![\w-])")
OCTET = "(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"
DOTTED = rf"(?:{OCTET}\.){{3}}{OCTET}"
IPV4 = re.compile(rf"(?<![\w.]){DOTTED}(?![\w]|\.[0-9])")
NUMBERED = re.compile(r"(?<![^\W_])(?:version|release|build|firmware|section|chapter|clause)[ :.]{0,2}\Z", re.I)
NUMBERED_REACH = 11  # the longest word and what may follow it
IPV6_REACH = 39
IPV6_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")  # in every address
IPV6_FIRST = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]")
IPV6 = re.compile(rf"(?<![\w:.])(?:[0-9A-Fa-f:]{{1,30}}:{DOTTED}|[0-9A-Fa-f:]{{3,39}})(?![\w:]|\.[0-9])")
PHONE_ENDS = r"(?!\w|-(?![A-Za-z]{3})\w)"  # no letter, no digit, no code; but a word behind a hyphen may follow
EXTENSION = r"(?: ?(?:x|ext\.?|#) ?[0-9]{1,6})?+"
PHONE_INTERNATIONAL = re.compile(
    rf"(?<![\w+])(?<![0-9][.,])(?:\+|00)[1-9](?:[ .()/-]{{0,3}}[0-9]){{6,18}}{EXTENSION}{PHONE_ENDS}", re.I
)
PHONE_AMERICAN = re.compile(
    r"(?<![\w.+-])(?:(?:1|001)[-. ])?(?:\([2-9][0-9]{2}\) ?[0-9]{3}[-. ][0-9]{4}|[2-9][0-9]{2}[-.][0-9]{3}[-.][0-9]{4}"
    rf"|(?<![0-9] )[2-9][0-9]{{2}} [2-9][0-9]{{2}}[ -][0-9]{{4}}(?! [0-9])){EXTENSION}{PHONE_ENDS}",
    re.I,
)
PHONE_TRUNK = re.compile(
    r"(?<![\w+-])(?<![0-9][.,])(?:(?:\(0[0-9]{1,4}\)|0[1-9][0-9]{0,3})[ .-][0-9]{2,7}(?:[ .-][0-9]{2,7}){0,3}"
    r"|\(0[0-9]{1,4}\)[0-9]{5,8}|0[1-9][0-9]{1,3} ?/ ?[0-9]{3,8}(?:[ -][0-9]{2,5}){0,2}|07[1-9][0-9]{8})"
    rf"{PHONE_ENDS}(?![.,][0-9])"
)
PHONE_BRACKET = re.compile(  # no volume, year and pages
    r"(?<![\w+-])(?<![0-9][., ])\((?!19|20)[1-9][0-9]{1,3}\) ?"
    rf"(?:[0-9]{{2,4}}[ -][0-9]{{2,4}}(?:[ -][0-9]{{2,4}})?|[0-9]{{6,8}}){PHONE_ENDS}"
)
PHONE_GROUPED = re.compile(  # groups that no amount has
    r"(?<![\w+-])(?<![0-9][., ])(?:[1-9][0-9](?:[ -][0-9]{3}){2}[ -][0-9]{4}|[1-9][0-9]{1,2}[ -][0-9]{3}(?:[ -][0-9]{2}){2}"
    rf"|[1-9][0-9]{{2}} [0-9]{{2}} [0-9]{{3}}|[1-9][0-9] [0-9]{{6}}){PHONE_ENDS}(?![ .,-]?[0-9])"
)
PHONE_REACH = 80  # the longest words, 60 of anything, a bracket
PHONE_WORD_FIRST = re.compile(  # how the words of PHONE_AFTER_WORD begin, in small letters
    r"(?<!\w)(?=ph|te|t\u00e9|mo|m\u00f3|ce|fa|de|la|wh|sm|ho|he|ha|ru|ca|di|ri|re|co|my|hi|ou|yo|th|ne|fo|vo|pr|se|al|em|wo|of|pe|cu|ol|wr|sa|up)\w"
)
PHONE_AFTER_WORD = re.compile(
    r"(?<!\w)(?:(?:tele|cell|smart)?phones?|tel|ph|mobiles?|mob|cells?|cellulare|celular|fax(?:ed)?|desk|landlines?|whatsapp|sms"
    r"|hot ?line|help ?line|voice ?mail|telefon[eo]?|tel[ée]fono|t[ée]l[ée]phone|t[ée]l|m[óo]vil|handy(?:nummer)?"
    r"|mobilnummer|rufnummer|call(?:ed|ing|s)?(?: (?:me|us|him|her|them))?|dial(?:ed|ing)?"
    r"|(?:ring|text|reach|dial|contact|phone|message)(?: (?:me|us|him|her|them))|contact (?:number|no)|registered"
    r"|(?:my|his|her|our|your|their|the|this|that|new|following|contact|primary|secondary|alternat(?:e|ive)|emergency|home|work|office"
    r"|direct|personal|current|previous|old|wrong|correct|right|same|updated) number(?:'s)?(?! of))(?!\w)"
    r"(?:(?!order|invoice|ticket|ref|account|tracking|case|booking)(?:[^\d\n(+]|\((?![0-9]))|\n(?!\n)){0,60}"
    rf"(?!0\.)([+(]?[0-9](?:[ ./()-]{{0,2}}[0-9]){{6,14}}{EXTENSION}){PHONE_ENDS}",
    re.I,
)
PHONE_LABELLED = re.compile(
    rf"(?<![\w+-])(?<![0-9][.,])([+(]?[0-9](?:[ ./()-]{{0,2}}[0-9]){{6,14}}{EXTENSION})"
    r"(?: ?[(-] ?(?:office|home|work|fax|mobile|mob|cell|phone|tel|landline|direct|desk|whatsapp)"
    r"|,? (?:is|was|as|isn't|to) (?:(?!order|invoice|ticket|ref|account|tracking|case|booking|card|member|customer)[a-z' ]){0,24}"
    r"(?<=[ '])(?:(?:my|his|her|our|their|contact|home|work|office) number|phone|cell|mobile|fax|landline|telephone))(?!\w)",
    re.I,
)


def find_email(clues: Clues) -> Iterator[Span]:
    text = clues.text
    for match in matches(EMAIL, text, before(text, find_all(text, "@"), EMAIL_REACH, EMAIL_FIRST)):
        yield match.span()


def find_secret(clues: Clues) -> Iterator[Span]:
    """Key blocks, keys of known shapes, credentials in URLs, ``password: …``, high-entropy tokens after key words."""
    text, passwords = clues.text, places(clues.folded, PASSWORD_WORDS)
    shapes = [word for character, words in KEY_SHAPE_WORDS.items() if character in text for word in words]
    for pattern, starts in (
        (PRIVATE_KEY, find_all(text, "-----BEGIN ")),
        (KEY_SHAPES, places(text, shapes)),
        (URL_CREDENTIALS, before(text, find_all(text, "://"), SCHEME_REACH, WORD_FIRST)),
        (PASSWORD, passwords),
        (SPOKEN_PASSWORD, passwords),
        (BEARER, places(text, ("Bearer", "Basic"))),
    ):
        for match in matches(pattern, text, starts):
            yield match.span(match.lastindex or 0)
    for match in matches(KEY_WORD, text, places(clues.folded, KEY_WORDS) if clues.has_digit else ()):
        if has_high_entropy(match.group(1)[:ENTROPY_CHARACTERS]):
            yield match.span(1)


def find_iban(clues: Clues) -> Iterator[Span]:
    """Country code, length of that country, remainder 1 modulo 97 (ISO 7064)."""
    text = clues.even
    countries = (match.start() - 2 for match in IBAN_DIGITS.finditer(text))
    for match in matches(IBAN_START, text, countries):
        length = IBAN_LENGTHS.get(match.group(1).upper())
        end = _end_of_code(text, match.start(), length) if length else None
        if end and is_iban(text[match.start() : end]):
            yield match.start(), end


def find_card(clues: Clues) -> Iterator[Span]:
    """12 to 19 digits with a right Luhn digit, of an issuer's range or after a word such as card."""
    text = clues.even
    for match in matches(CARD, text, clues.long_numbers):
        digits = re.sub(r"[ -]", "", match.group())
        is_known = CARD_RANGES.fullmatch(digits) or CARD_WORD.search(text, max(0, match.start() - 40), match.start())
        if is_known and is_luhn(digits):
            yield match.span()


def find_ssn(clues: Clues) -> Iterator[Span]:
    for match in matches(SSN, clues.even, clues.long_numbers):
        yield match.span()


def find_ip(clues: Clues) -> Iterator[Span]:
    """IPv4 and IPv6, except loopback and unspecified addresses, and numbers of versions and sections."""
    text = clues.text
    colons = (match.start() for match in IPV6_COLONS.finditer(text))
    for pattern, starts in ((IPV4, clues.numbers), (IPV6, before(text, colons, IPV6_REACH, IPV6_FIRST))):
        for match in matches(pattern, text, starts):
            if is_address(text, match):
                yield match.span()


def find_phone(clues: Clues) -> Iterator[Span]:
    """Numbers in an unmistakable form (+country, (area) and trunk forms), or any 7 to 15 digits beside a phone word."""
    text, long_numbers = clues.even, clues.long_numbers
    words = before(clues.folded, long_numbers, PHONE_REACH, PHONE_WORD_FIRST)
    for pattern, starts, low, high in (
        (PHONE_INTERNATIONAL, _with_signs(text, long_numbers), 8, 21),
        (PHONE_AMERICAN, _with_signs(text, long_numbers), 10, 19),
        (PHONE_TRUNK, _with_signs(text, clues.numbers), 9, 11),
        (PHONE_BRACKET, _with_signs(text, long_numbers), 8, 13),
        (PHONE_GROUPED, long_numbers, 8, 12),
        (PHONE_AFTER_WORD, words, 7, 21),
        (PHONE_LABELLED, _with_signs(text, long_numbers), 7, 21),
    ):
        for match in matches(pattern, text, starts):
            start, end = match.span(match.lastindex or 0)
            if low <= sum(character.isdigit() for character in text[start:end]) <= high:
                yield start, end


DETECTORS: dict[str, Detector] = {
    # In order of precedence where findings overlap.
    SECRET: Detector(find_secret, lambda clues: any(map(clues.folded.__contains__, SECRET_WORDS))),
    "EMAIL": Detector(find_email, lambda clues: "@" in clues.text),
    "IBAN": Detector(find_iban, lambda clues: clues.has_digit),
    "CARD": Detector(find_card, lambda clues: clues.long_numbers),
    "SSN": Detector(find_ssn, lambda clues: clues.long_numbers),
    "IP": Detector(find_ip, lambda clues: clues.numbers or ":" in clues.text),
    "PHONE": Detector(find_phone, lambda clues: clues.numbers),
    DOMAIN: Detector(find_domain, lambda clues: "." in clues.text),
}
ASKED_FOR = frozenset({DOMAIN})
"""Kinds that are mostly nobody's own, and found only where they are asked for."""


def detect(text: str, more: Collection[str] = ()) -> list[Finding]:
    """All findings in order of place; where two overlap, the kind that ``DETECTORS`` names first, then the earlier.

    Args:
        more: kinds of ``ASKED_FOR`` to find as well.
    """
    clues, kept, taken = look(text), list[Finding](), bytearray(len(text))
    for kind, detector in DETECTORS.items():
        if kind in ASKED_FOR and kind not in more:
            continue
        for start, end in sorted(detector.find(clues), key=_longest_first) if detector.is_possible(clues) else ():
            if end > start and not any(taken[start:end]):
                kept.append(Finding(kind, start, end))
                taken[start:end] = b"\1" * (end - start)
    return sorted(kept, key=lambda finding: finding.start)


def _longest_first(span: Span) -> Span:
    return span[0], -span[1]


def is_luhn(digits: str) -> bool:
    """Luhn's check digit (ISO/IEC 7812-1, annex B)."""
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(digits))]
    return len(set(digits)) > 1 and sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def is_iban(code: str) -> bool:
    plain = code.replace(" ", "").replace("-", "").upper()
    return int("".join(str(int(character, 36)) for character in plain[4:] + plain[:4])) % 97 == 1


def has_high_entropy(token: str, bits: float = 3.5) -> bool:
    """At least this many bits per character (Shannon, over the token itself), with letters and digits."""
    counts = Counter(token)
    entropy = -sum(count / len(token) * math.log2(count / len(token)) for count in counts.values())
    return entropy >= bits and any(map(str.isdigit, token)) and any(map(str.isalpha, token))


def _with_signs(text: str, numbers: Sequence[int]) -> Iterator[int]:
    """Where the numbers begin, and the plus or bracket directly before."""
    for number in numbers:
        if text[number - 1 : number] in ("+", "("):
            yield number - 1
        yield number


def _end_of_code(text: str, start: int, length: int) -> int | None:
    """Where ``length`` ASCII letters and digits, single spaces or hyphens between them allowed, end; None if they do not."""
    place, taken = start, 0
    while place < len(text) and taken < length:
        if text[place].isascii() and text[place].isalnum():
            taken += 1
        elif text[place] not in " -" or text[place - 1] in " -":
            return None
        place += 1
    is_cut = place < len(text) and text[place].isalnum()
    return None if taken < length or is_cut else place


def is_address(text: str, match: re.Match[str]) -> bool:
    """What ``IPV4`` or ``IPV6`` matched is an address, and one that says something."""
    found, start = match.group(), match.start()
    if ":" in found:
        if not any(map(str.isdigit, found)) or len(found.replace(":", "")) < 4:
            return False
    elif NUMBERED.search(text, max(0, start - NUMBERED_REACH), start):
        return False
    try:
        address = ipaddress.ip_address(found)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified)
