"""Detectors: what each finds, what it leaves alone, and figures on public data where it lies beside the project."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import pytest

from journeyman.guards.detect import ASKED_FOR, DETECTORS, detect, has_high_entropy, is_iban, is_luhn

DATA = Path(__file__).parents[3] / "shared" / "data"

FOUND = [
    ("EMAIL", "mail anna.k+x@mail.example.co.uk.", "anna.k+x@mail.example.co.uk"),
    ("EMAIL", "<jürgen@exämple.de>", "jürgen@exämple.de"),
    ("PHONE", "ring +44 (0)20 7946 0958 now", "+44 (0)20 7946 0958"),
    ("PHONE", "(415) 555-2671 ext. 12", "(415) 555-2671 ext. 12"),
    ("PHONE", "mine is 415-555-2671, ok", "415-555-2671"),
    ("PHONE", "07700 900 123", "07700 900 123"),
    ("PHONE", "01.42.68.53.00", "01.42.68.53.00"),
    ("PHONE", "call me on 555 2671", "555 2671"),
    ("PHONE", "Phone:\n9472 7916", "9472 7916"),
    ("PHONE", "+41 (0)69 979 80 58-Fax", "+41 (0)69 979 80 58"),
    ("PHONE", "02071234567-Office,07700 900 123-Fax", None),
    ("PHONE", "reachable: 0221/1234567", "0221/1234567"),
    ("PHONE", "(020)79460958", "(020)79460958"),
    ("PHONE", "(37) 788-063", "(37) 788-063"),
    ("PHONE", "415 555 2671", "415 555 2671"),
    ("PHONE", "06\u00a012\u00a034\u00a056\u00a078", "06\u00a012\u00a034\u00a056\u00a078"),
    ("PHONE", "Teléfono: 912 345 678", "912 345 678"),
    ("PHONE", "the number 668 5702 is wrong", "668 5702"),
    ("PHONE", "5552671 (mobile)", "5552671"),
    ("PHONE", "5552671 is my number now", "5552671"),
    ("PHONE", "use 555 2671 as the contact number", "555 2671"),
    ("PHONE", "my cellphone (the new one): 555-2671", "555-2671"),
    ("PHONE", "21 253 109 8211", "21 253 109 8211"),
    ("PHONE", "721 234 56 78", "721 234 56 78"),
    ("PHONE", "432 03 163", "432 03 163"),
    ("PHONE", "(11) 788063", "(11) 788063"),
    ("CARD", "4111 1111 1111 1111", "4111 1111 1111 1111"),
    ("CARD", "amex 378282246310005", "378282246310005"),
    ("CARD", "my card number is 630427373398", None),
    ("IBAN", "to GB82 WEST 1234 5698 7654 32 and then", "GB82 WEST 1234 5698 7654 32"),
    ("IBAN", "de89370400440532013000", "de89370400440532013000"),
    ("IBAN", "DE89-3704-0044-0532-0130-00.", "DE89-3704-0044-0532-0130-00"),
    (
        "IBAN",
        "FR14\u00a02004\u00a01010\u00a00505\u00a00001\u00a03M02\u00a0606",
        "FR14\u00a02004\u00a01010\u00a00505\u00a00001\u00a03M02\u00a0606",
    ),
    ("SSN", "SSN: 078-05-1120", "078-05-1120"),
    ("IP", "from 203.0.113.9.", "203.0.113.9"),
    ("IP", "at 2001:db8::ff00:42:8329 today", "2001:db8::ff00:42:8329"),
    ("IP", "peer ::ffff:203.0.113.9 left", "::ffff:203.0.113.9"),
    ("IP", "[2001:db8::1]:8080", "2001:db8::1"),
    ("EMAIL", "to a@b.xn--p1ai", "a@b.xn--p1ai"),
    ("SECRET", "AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    ("SECRET", "use ghp_" + "a1B2" * 9, "ghp_" + "a1B2" * 9),
    ("SECRET", "OPENAI=sk-proj-" + "Ab3_" * 8, "sk-proj-" + "Ab3_" * 8),
    ("SECRET", "xoxb-123456789012-abcdef", "xoxb-123456789012-abcdef"),
    ("SECRET", "https://joe:hunter2@example.com/x", "joe:hunter2"),
    ("SECRET", "Password: hunter2, thanks", "hunter2"),
    ("SECRET", 'api_key = "abc def"', "abc def"),
    ("SECRET", "my password is tr0ub4dor&3", "tr0ub4dor&3"),
    ("SECRET", "the token 9fQ2xLmZ8vKp3Rt7Wy1B expires", "9fQ2xLmZ8vKp3Rt7Wy1B"),
    ("SECRET", "Authorization: Bearer abcdefghijklmnop", "abcdefghijklmnop"),
    ("SECRET", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-_1", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-_1"),
]

LEFT_ALONE = [
    "200g flour, 1 1/2 cups milk, 2 14-ounce cans, 1 (28-ounce) can",
    "order 123456789012, invoice 2024-000123, ticket #99887766",
    "on 2024-01-31 at 12:30:45, or 01.02.2024, or 1/2/2024, years 1999-2004",
    "prices: $1,299.00, 0.50 EUR, 1 000 000, 12.345.678",
    "about order 1234567 please call",
    "I called about invoice 20240131 twice",
    "version 10.2.3.4 and 127.0.0.1 and 999.1.2.3",
    "4111 1111 1111 1112",
    "GB82 WEST 1234 5698 7654 33",
    "std::vector a::b ::",
    "666-12-3456 and 000-12-3456",
    "your password is required here; forgot my password",
    "the token is missing; the key ingredient is internationalization",
    "https://example.com/a@b and user@localhost",
    "1700000000000 milliseconds",
    "Version 10.2.3.4, section 1.2.3.4, Build: 10.0.0.1",
    "Statistics in Medicine 21 (2002) 231-245; the number of eggs left is 1800-600",
    "about 723 813 266 people, 12 345 678, 1 234 56 78, 12 34 56 78 90, 10 100 1000, 432 03 163 5",
    "5552671 is my order number, 5552671 is for the case",
    "0.006362912 and 1,07700900123, 300 400 5000 6000",
]


@pytest.mark.parametrize(("kind", "text", "value"), FOUND)
def test_each_kind_is_found_exactly(kind: str, text: str, value: str | None) -> None:
    found = [(item.kind, text[item.start : item.end]) for item in detect(text)]
    if value is None:
        assert {name for name, _ in found} == {kind}
    else:
        assert found == [(kind, value)]


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_everyday_numbers_are_left_alone(text: str) -> None:
    assert detect(text) == []


def test_every_detector_has_an_example() -> None:
    assert {kind for kind, _, _ in FOUND} == set(DETECTORS) - ASKED_FOR


DOMAINS = [
    ("see https://shop.example.co.uk/a?b=c", "shop.example.co.uk"),
    ("WWW.EXAMPLE.NET", "WWW.EXAMPLE.NET"),
    ("buy at BlueGoods.com.br.", "BlueGoods.com.br"),
    ("our site is pizzeria.it now", "pizzeria.it"),
    ("from exämple.de, thanks", "exämple.de"),
    ("it is Example.com.Then we left", "Example.com"),
    ("an example.org-like name", "example.org"),
    ("t.co/abc", "t.co"),
    ("http://xn--e1afmkfd.xn--p1ai/", "xn--e1afmkfd.xn--p1ai"),
    ("sub_1.a-b.example.io:8080", "sub_1.a-b.example.io"),
    ("anna@example.com", None),
    ("user@host_without.com/x", None),
    ("read README.md, main.py, run.sh, lib.rs, node.js, a/b.com", None),
    ("we went home.It was late, really.in the end.", None),
    ("e.g. i.e. a.m. p.m. U.S. v1.2.3 3.14 1.5kg ASP.NET", None),
    ("file.id = task.name and self.host.add(row.to(device))", None),
]


@pytest.mark.parametrize(("text", "name"), DOMAINS)
def test_domain_names_are_found_where_they_are_asked_for(text: str, name: str | None) -> None:
    found = [text[item.start : item.end] for item in detect(text, ["DOMAIN"]) if item.kind == "DOMAIN"]
    assert found == ([name] if name else [])
    assert "DOMAIN" not in [item.kind for item in detect(text)]


def test_private_key_block_goes_even_when_cut_off() -> None:
    text = "key:\n-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n"
    assert [(item.kind, item.start, item.end) for item in detect(text)] == [("SECRET", 5, len(text))]


def test_secrets_win_over_what_they_contain() -> None:
    text = "password: joe@example.com"
    assert [item.kind for item in detect(text)] == ["SECRET"]


def test_check_digits() -> None:
    assert is_luhn("4242424242424242")
    assert not is_luhn("4242424242424241")
    assert not is_luhn("0000000000000000")
    assert is_iban("DE89 3704 0044 0532 0130 00")
    assert not is_iban("DE89370400440532013001")
    assert not has_high_entropy("aaaaaaaaaaaaaaaaaaa1")


@pytest.mark.parametrize(
    "piece",
    [
        "a@",
        "eyJaaaaaaaa.",
        "+1 ",
        "00123456789012345678901234a ",
        "password: ",
        "key-",
        "phone ",
        "01 ",
        "GB82 ",
        "a.",
        "(1",
    ],
)
def test_long_hostile_text_ends(piece: str) -> None:
    assert isinstance(detect(piece * 4000, ASKED_FOR), list)


@pytest.mark.parametrize(("folder", "field"), [("snips_nlu", "text"), ("nyt_ingredients", "input")])
def test_false_alarms_are_below_one_in_a_thousand_rows(folder: str, field: str) -> None:
    path = DATA / folder / "train.jsonl"
    if not path.exists():
        pytest.skip(f"{folder} is not here")
    rows = [json.loads(line)[field] for line in path.open(encoding="utf-8")]
    alarms = [row for row in rows if detect(row)]
    sys.stdout.write(
        f"{folder}: {len(alarms)} alarms in {len(rows)} rows = {1000 * len(alarms) / len(rows):.2f} per 1,000\n"
    )
    assert len(rows) > 1000
    assert len(alarms) < len(rows) / 1000


def test_recall_and_precision_on_synthetic_people() -> None:
    folder = DATA / "presidio_pii_synth"
    if not folder.exists():
        pytest.skip("presidio_pii_synth is not here")
    names = {
        "EMAIL_ADDRESS": "EMAIL",
        "PHONE_NUMBER": "PHONE",
        "CREDIT_CARD": "CARD",
        "IBAN_CODE": "IBAN",
        "IP_ADDRESS": "IP",
        "US_SSN": "SSN",
    }
    hits, misses, alarms = Counter[str](), Counter[str](), Counter[str]()
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.open(encoding="utf-8"):
            row = json.loads(line)
            gold = [
                (names[span["entity_type"]], span["start_position"], span["end_position"])
                for span in row["spans"]
                if span["entity_type"] in names
            ]
            found = [(item.kind, item.start, item.end) for item in detect(row["text"])]
            for span in gold:
                (hits if any(_touch(span, other) for other in found) else misses)[span[0]] += 1
            alarms.update(span[0] for span in found if not any(_touch(span, other) for other in gold))
    for kind in names.values():
        n = hits[kind] + misses[kind]
        precision = hits[kind] / max(1, hits[kind] + alarms[kind])
        sys.stdout.write(f"{kind}: recall {hits[kind] / n:.3f} (n={n}), precision {precision:.3f}\n")
        assert hits[kind] / n >= (0.8 if kind == "PHONE" else 0.98)
        assert precision >= 0.95


def _touch(left: tuple[str, int, int], right: tuple[str, int, int]) -> bool:
    return left[0] == right[0] and left[1] < right[2] and right[1] < left[2]
