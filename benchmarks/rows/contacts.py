"""SNIPS' questions about the weather with personal data in each: whom to tell, and who pays. Numbers have their checksums; people, hosts and numbers are drawn, none is anybody's."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Row = dict[str, Any]
FIRST = [
    "ana",
    "ben",
    "carla",
    "dmitri",
    "elena",
    "farid",
    "grace",
    "hugo",
    "ines",
    "jonas",
    "kenji",
    "lucia",
    "maya",
    "nils",
    "olga",
    "paolo",
    "quinn",
    "rosa",
    "sven",
    "tara",
]
LAST = [
    "adler",
    "brandt",
    "castillo",
    "duarte",
    "eriksen",
    "fischer",
    "gupta",
    "haddad",
    "ivanova",
    "jensen",
    "kowalski",
    "lindqvist",
    "moreau",
    "novak",
    "okafor",
    "petrov",
    "rossi",
    "sato",
    "tanaka",
    "vargas",
]
HOSTS = ("example.com", "example.org", "mail.example.net", "acme.example", "post.example.com", "uni-nord.example")
PHONES = (
    "+49 30 {0:08d}", "+44 20 7{1:03d} {2:04d}", "+1 415-555-{2:04d}", "(212) 555-{2:04d}", "+33 1 {3:02d} {4:02d} {5:02d} {6:02d}", "+34 6{1:03d}{2:04d}0", "503-555-{2:04d}", "+41 44 {1:03d} {3:02d} {4:02d}",
)  # fmt: skip
IBANS = {"DE": 18, "FR": 23, "NL": 14, "ES": 20, "AT": 16}
"""Digits behind the check digits; the Netherlands' begin with four letters."""
SAY: Mapping[str, tuple[str, ...]] = {
    "email": ("and mail it to {}", "and send the answer to {}", "then write to {}", "my address is {}"),
    "copy_email": ("with a copy to {}", "and cc {}", "and let {} know too"),
    "phone": ("and text it to {}", "call me on {} with it", "my number is {}", "and tell {} by phone"),
    "second_phone": ("or else call {}", "and if nobody answers try {}"),
    "card": ("charge it to {}", "and pay with card {}", "bill my card {}"),
    "iban": ("take the fee from {}", "and book it to account {}", "my account is {}"),
    "ip": ("I am asking from {}", "and push it to the display at {}", "log it for {}"),
}
PLANS = (
    ("email",), ("phone",), ("email", "copy_email"), ("phone", "second_phone"), ("card",), ("iban",), ("ip",), ("email", "phone"), ("card", "email"), ("iban", "phone"), ("ip", "email", "copy_email"),
)  # fmt: skip


def add_contacts(rows: Sequence[Row], seed: int) -> list[Row]:
    """Each row ``{"input": {"text": ...}, "gold": {slot: value}}`` with one to three values of personal data behind its text, and their slots."""
    draw = random.Random(seed)
    return [_add(row, draw) for row in rows]


def _add(row: Row, draw: random.Random) -> Row:
    text, gold = row["input"]["text"].rstrip("?. "), dict(row["gold"])
    for slot in draw.choice(PLANS):
        gold[slot] = MAKERS[slot](draw)
        text += draw.choice((" ", ", ")) + draw.choice(SAY[slot]).format(gold[slot])
    return {"input": {"text": text}, "gold": gold}


def _email(draw: random.Random) -> str:
    first, last, number = draw.choice(FIRST), draw.choice(LAST), draw.randrange(100)
    name = draw.choice((f"{first}.{last}", f"{first[0]}{last}", f"{first}{number}", f"{last}_{first}"))
    return f"{name}@{draw.choice(HOSTS)}"


def _phone(draw: random.Random) -> str:
    parts = (
        draw.randrange(10**8),
        draw.randrange(1000),
        draw.randrange(10**4),
        *(draw.randrange(100) for _ in range(4)),
    )
    return draw.choice(PHONES).format(*parts)


def _card(draw: random.Random) -> str:
    body = draw.choice(("4", "51", "55")) + "".join(str(draw.randrange(10)) for _ in range(15))
    body = body[:15]
    number = body + str(-_luhn(body + "0") % 10)
    groups = [number[place : place + 4] for place in range(0, 16, 4)]
    return draw.choice((" ", "-", "")).join(groups)


def _luhn(number: str) -> int:
    doubled = (int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(number)))
    return sum(value - 9 if value > 9 else value for value in doubled)


def _iban(draw: random.Random) -> str:
    country = draw.choice(list(IBANS))
    bank = "".join(draw.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(4)) if country == "NL" else ""
    body = bank + "".join(str(draw.randrange(10)) for _ in range(IBANS[country] - len(bank)))
    as_number = int("".join(str(int(letter, 36)) for letter in f"{body}{country}00"))
    whole = f"{country}{98 - as_number % 97:02d}{body}"
    return " ".join(whole[place : place + 4] for place in range(0, len(whole), 4)) if draw.random() < 0.5 else whole


def _ip(draw: random.Random) -> str:
    return ".".join(str(draw.randrange(1, 255)) for _ in range(4))


MAKERS: Mapping[str, Callable[[random.Random], str]] = {
    "email": _email, "copy_email": _email, "phone": _phone, "second_phone": _phone, "card": _card, "iban": _iban, "ip": _ip,
}  # fmt: skip
