"""Detectors with clues find exactly what searches of the whole text find, and the Redactor writes the same."""

from __future__ import annotations

import re
import string
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journeyman.core.canonical import Json
from journeyman.guards.detect import ASKED_FOR, DETECTORS, detect
from journeyman.guards.redact import Redactor
from journeyman.guards.starts import before, find_all, fold, look, matches, occurrences, places
from tests.guards.searches import SEARCHES, SearchingRedactor, search
from tests.guards.test_detect import FOUND, LEFT_ALONE

WORDS = [
    "password",
    "passwort",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "client_secret",
    "api",
    "key",
    "api-key",
    "secret",
    "key",
    "access_token",
    "access-key",
    "auth",
    "token",
    "is",
    "was",
    "to",
    "key",
    "token",
    "secret",
    "credentials",
    "auth",
    "signature",
    "Bearer",
    "Basic",
    "phone",
    "telephone",
    "tel",
    "mobile",
    "cell",
    "fax",
    "desk",
    "whatsapp",
    "sms",
    "hotline",
    "called",
    "calling",
    "call",
    "me",
    "ring",
    "text",
    "us",
    "reach",
    "him",
    "dial",
    "contact",
    "her",
    "my number",
    "téléphone",
    "MÓVIL",
    "the new number is",
    "office",
    "www.",
    "website:",
    "card",
    "visa",
    "version",
    "order",
    "invoice",
    "ext.",
]
SHAPES = [
    *("AKIA", "ANPA", "ghp_", "ghr_", "github_pat_", "glpat-", "sk-", "sk_live_", "rk_test_", "xoxb-", "AIza", "ya29."),
    *(
        "hf_",
        "npm_",
        "pypi-",
        "eyJ",
        "https://hooks.slack.com/services/",
        "https://",
        "git+ssh://",
        "-----BEGIN RSA PRIVATE KEY-----",
    ),
    *(
        "-----END RSA PRIVATE KEY-----",
        "<EMAIL_1>",
        "<SECRET>",
        "<PHONE_2>",
        "GB82 ",
        "DE89",
        "+44 ",
        "0044",
        "(0",
        "::",
        "2001:db8:",
        "(415) ",
    ),
]
VALUES = [value for _, _, value in FOUND if value] + ["DE89370400440532013000", "aB3dE5fG7hI9jK1lM2nO", "hunter2x!"]
SEPARATORS = [
    *" \n\t.:;,=@<>()[]{}'\"/+-_x&|",
    "://",
    ":=",
    "=>",
    ": ",
    "= ",
    " - ",
    ") ",
    "  ",
    " is ",
    "\u00a0",
    "\u2011",
    ".com",
    ".it ",
    "-Fax",
    " is my number",
    ".eyJ",
    "@a.bc",
]
TURNED = {"i": "\u0130\u0131I", "s": "\u017fsS", "k": "\u212akK", "a": "aAA", "e": "eEE", "t": "Ttt"}

# Each the widest or narrowest that a pattern allows, or with letters that only re.I takes for others.
EDGES = [
    "a" * 64 + "@example.org",
    "x'" + "a" * 62 + "@example.org",
    "a@b.cd@e.fg,h@i.jk",
    "a" * 21 + "://joe:hunter2@example.com",
    "git+ssh://:hunter2@example.com",
    "2001:0db8:0000:0000:0000:ff00:0042:8329",
    "::ff1 and ::ffff:1, then 12:30:45 in a::2345",
    "calling him" + " " * 24 + "(5552671",
    "contact her\n" + "." * 23 + "+5552671",
    "telephone+5552671",
    "fax 1()2()3()4()5()6()7",
    "+1 - 2 - 3 - 4 - 5 - 6 - 7 - 8",
    "0012 (0) 34567",
    "1 (415) 555-2671 x9",
    "(01) 23 45 67 89",
    "1.2.3.4",
    "1 1.2.3.4 4111111111111111",
    "1-078-05-1120, 078-05-1120",
    "de89370400440532013000 GB82 WEST 1234 5698 7654 32",
    "pa\u017fsword: hunter2",
    "ap\u0131 \u212aey: hunter2",
    "CL\u0130ENT_SECRET=hunter2",
    "pas\u017fphra\u017fe is hunter2",
    "to\u212aen 9fQ2xLmZ8vKp3Rt7Wy1B",
    "mob\u0131le 5552671",
    "\u017fms 5552671",
    "password: a1b2c3 password is a1b2c3 and api key was a1b2c3",
]

digits = st.text("0123456789", min_size=1, max_size=19)
grouped = st.lists(st.text("0123456789", min_size=1, max_size=5), min_size=2, max_size=6).flatmap(
    lambda groups: st.sampled_from([" ", "-", ".", ":", "/", ") ", " - "]).map(lambda gap: gap.join(groups))
)
turned = st.builds(lambda word, turns: turn(word, turns), st.sampled_from(WORDS), st.integers(0, 3**12))
long_run = st.builds(
    lambda piece, size: piece * size, st.sampled_from(["a", "0", " ", "-", ".", "aB3", "ab.", "f:"]), st.integers(1, 70)
)
piece = st.one_of(
    st.sampled_from(WORDS), turned, digits, grouped, st.sampled_from(SEPARATORS), st.sampled_from(SEPARATORS),
    st.sampled_from(SHAPES), st.sampled_from(VALUES), st.sampled_from(LEFT_ALONE), long_run, st.text(max_size=3), st.sampled_from("٣²é_İıſK"),
)  # fmt: skip
texts = st.lists(piece, max_size=14).map("".join)


def turn(word: str, turns: int) -> str:
    """The word with other forms of some of its letters, chosen by the digits of ``turns`` in base three."""
    return "".join(TURNED.get(letter, letter * 3)[turns // 3**place % 3] for place, letter in enumerate(word))


@pytest.mark.parametrize("text", [*EDGES, *(text for _, text, value in FOUND if value)])
def test_what_a_pattern_just_allows_is_found(text: str) -> None:
    assert search(text) != []
    assert detect(text) == search(text)


@settings(max_examples=600, deadline=None)
@given(texts)
def test_each_detector_finds_what_a_search_finds(text: str) -> None:
    clues = look(text)
    for kind, detector in DETECTORS.items():
        assert sorted(detector.find(clues)) == sorted(SEARCHES[kind](text)), kind
        assert detector.is_possible(clues) or not list(SEARCHES[kind](text)), kind
    assert detect(text) == search(text)
    assert detect(text, ASKED_FOR) == search(text, ASKED_FOR)


@settings(max_examples=300, deadline=None)
@given(st.lists(texts, min_size=1, max_size=3), st.booleans(), st.booleans())
def test_the_redactor_writes_the_same(parts: list[str], is_personal: bool, is_verbatim: bool) -> None:
    value: Json = {"first": parts[0], "rest": {"again": [*parts], parts[-1]: "x"}, "n": 3}
    verbatim = ("first",) if is_verbatim else ()
    ours, theirs = Redactor(is_personal=is_personal), SearchingRedactor(is_personal=is_personal)
    assert ours.value(value, verbatim) == theirs.value(value, verbatim)
    assert ours.text(parts[-1]) == theirs.text(parts[-1])
    assert ours.counts == theirs.counts
    assert ours._values == theirs._values


def test_folding_is_as_wide_as_ignoring_case() -> None:
    """Over every code point there is: one for one, and each that ``re.I`` takes for an ASCII letter becomes it."""
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    folded = fold(everything)
    assert len(folded) == len(everything)
    for letter in string.ascii_lowercase:
        taken = {match.start() for match in re.finditer(letter, everything, re.I)}
        assert len(taken) >= 2
        assert {folded[place] for place in taken} == {letter}


KEYS = [
    *(word + "B2" * 8 for word in ("AKIA", "ASIA", "AGPA", "AIDA", "AROA", "ANPA")),
    *(f"gh{letter}_" + "B2" * 15 for letter in "pousr"),
    *(word + "B2" * 30 for word in ("github_pat_", "glpat-", "sk-", "ya29.", "hf_", "pypi-")),
    *(f"{letter}k_{mode}_" + "B2" * 8 for letter in "srp" for mode in ("live", "test")),
    *(f"xox{letter}-" + "B2" * 5 for letter in "abeoprs"),
    "https://hooks.slack.com/services/" + "B2" * 10,
    "AIza" + "B2" * 17 + "B",
    "npm_" + "B2" * 18,
    "eyJaaaaaaaa.eyJaaaaaaaa.",
]
PASSWORD_NAMES = [
    *("password", "passwort", "passwd", "passphrase", "passcode", "pwd"),
    *(
        f"{left}{gap}{right}"
        for left, right in (("client", "secret"), ("api", "key"), ("secret", "key"))
        for gap in " _-"
    ),
    *(f"{left}{right}" for left, right in (("access", "key"), ("access", "token"), ("auth", "token"))),
]


@pytest.mark.parametrize("key", KEYS)
def test_every_shape_of_a_key_is_found(key: str) -> None:
    assert [(item.kind, item.start, item.end) for item in detect(f"a {key} z")] == [("SECRET", 2, 2 + len(key))]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *(("SECRET", f"{name}: hunter2") for name in PASSWORD_NAMES),
        *(("SECRET", f"{name} is hunter2") for name in ("password", "passphrase", "passcode", "pwd", "api key")),
        *(("SECRET", f"{name} B2c3D4e5F6g7H8i9J0") for name in ("Bearer", "Basic")),
        *(
            ("SECRET", f"{name} 9fQ2xLmZ8vKp3Rt7Wy1B")
            for name in ("key", "token", "secret", "credential", "credentials")
        ),
        *(("SECRET", f"{name} 9fQ2xLmZ8vKp3Rt7Wy1B") for name in ("auth", "signature")),
        *(("PHONE", f"{name} 5552671") for name in ("telephone", "phone", "tel", "mobile", "cell", "fax", "desk")),
        *(("PHONE", f"{name} 5552671") for name in ("whatsapp", "sms", "hotline", "call", "called him", "calling")),
        *(
            ("PHONE", f"{name} 5552671")
            for name in ("cellphone", "smartphones", "hot line", "Voicemail", "télÉphone", "tél", "móvil")
        ),
        *(
            ("PHONE", f"{name} 5552671")
            for name in ("handynummer", "rufnummer", "telefono", "celular", "ph", "mob", "registered")
        ),
        *(
            ("PHONE", f"{name} number's 5552671")
            for name in (
                "my",
                "his",
                "our",
                "your",
                "the",
                "new",
                "following",
                "contact",
                "primary",
                "secondary",
                "alternative",
            )
        ),
        *(
            ("PHONE", f"{name} number 5552671")
            for name in (
                "emergency",
                "home",
                "work",
                "office",
                "direct",
                "personal",
                "current",
                "previous",
                "old",
                "wrong",
            )
        ),
        *(
            ("PHONE", f"{name} number 5552671")
            for name in ("correct", "right", "same", "updated", "that", "her", "their")
        ),
        *(("PHONE", f"{name} 5552671") for name in ("ring me", "text us", "reach her", "dial him", "contact me")),
    ],
)
def test_every_word_is_found(kind: str, text: str) -> None:
    assert [item.kind for item in detect(text)] == [kind]


@given(st.text("ab@ ", max_size=60), st.integers(1, 8))
def test_no_place_is_tried_twice(text: str, reach: int) -> None:
    """Otherwise a text of marks alone would cost more than linear time."""
    tried = list(before(text, find_all(text, "@"), reach, re.compile(r"[ab]")))
    assert tried == sorted(set(tried))
    near = {place for mark in find_all(text, "@") for place in range(max(0, mark - reach), mark) if text[place] != " "}
    assert near - set(find_all(text, "@")) == set(tried)


@given(st.text("ab ", max_size=40), st.sets(st.text("ab ", min_size=1, max_size=6), min_size=1), st.integers(0, 4))
def test_values_are_found_in_either_way(text: str, values: set[str], few: int) -> None:
    everywhere = {(place, value) for value in values for place in range(len(text)) if text.startswith(value, place)}
    found = list(occurrences(text, dict.fromkeys(values), few=few))
    assert len(found) == len(set(found))
    assert set(found) == everywhere


@given(st.text("ab ", max_size=40))
def test_matches_at_all_places_are_those_of_a_search(text: str) -> None:
    pattern = re.compile(r"(?<!b)a[ab]?(?!a)")
    spans = [match.span() for match in pattern.finditer(text)]
    assert [match.span() for match in matches(pattern, text, range(-2, len(text)))] == spans
    assert [match.span() for match in matches(pattern, text, places(text, ("a",)))] == spans


HOSTILE = [
    "1",
    "1 ",
    "1.",
    "@",
    "a@",
    "a@b.",
    "password ",
    "password: ",
    "pwd",
    "(",
    "call ",
    "call 1234567",
    "::",
    "a:",
    "://",
    "a://",
    "a://b:c",
]
HOSTILE += [
    "-----BEGIN ",
    "-----BEGIN PRIVATE KEY-----",
    "eyJ",
    "eyJaaaaaaaa.",
    "sk-",
    "key ",
    "token=",
    "GB82 ",
    "+1 ",
    "00",
    "0 ",
    "<EMAIL_1>",
    "<",
    "\u0130",
    "a'",
    "a.",
    "a-b.",
    "1.a",
    "www.",
    "my number ",
    "(1",
    "0/",
]


@pytest.mark.bench
def test_many_values_cost_linear_time() -> None:
    short, long = (
        min(_seconds(" ".join(f"user{place}@example.org" for place in range(count))) for _ in range(3))
        for count in (1000, 10_000)
    )
    assert long < 35 * short


@pytest.mark.bench
@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_text_costs_linear_time(piece: str) -> None:
    """Ten times the text: ten times the time if linear, a hundred if quadratic."""
    short, long = (min(_seconds(piece * (size // len(piece))) for _ in range(3)) for size in (10_000, 100_000))
    sys.stdout.write(f"{piece!r}: {1e3 * short:.1f} ms, {1e3 * long:.1f} ms\n")
    assert long < 35 * short


def _seconds(text: str) -> float:
    started = time.process_time()
    Redactor(more=ASKED_FOR).text(text)
    return time.process_time() - started
