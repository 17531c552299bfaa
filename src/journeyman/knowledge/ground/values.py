"""Numbers, sums of money and dates of a text, so that equal values in different writing are found to be equal.

A comma before three digits separates thousands, one before fewer or more is a decimal point; a point before three digits separates thousands only where there is a second
one or a decimal comma: "1,200" and "1.200.000" are whole numbers, "1.200" is not. A date of two small numbers and slashes may be read both ways round. Names of months are
English, and with a day before them German, French, Spanish, Italian, Portuguese or Dutch; years have four digits; "12" is found in "12 km" and "12km", and not in "B12".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from journeyman.knowledge.ground.alignment import Kind

_THIN = "\u00a0\u202f\u2009"
_RUN = re.compile(rf"[0-9]+(?:[ .,'’{_THIN}][0-9]+)*")
_GROUPED = re.compile(rf"([1-9][0-9]{{0,2}}(?:([ .,'’{_THIN}])[0-9]{{3}})(?:\2[0-9]{{3}})*)(?:([.,])([0-9]+))?")
_PLAIN = re.compile(r"([0-9]+)(?:[.,]([0-9]+))?")
_MOST_DIGITS = 60
_PART_BEFORE, _PART_AFTER = re.compile("[0-9][-/:]$"), re.compile("[-/:][0-9]")  # of a date, a time or a range
_SIGN = re.compile(r"(?:^|[^\w)\-])[-−]$")
_SCALES = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_SHORT_SCALES = {"k": 3, "m": 6, "mn": 6, "bn": 9, "tn": 12}
_SCALE = re.compile(rf"[ {_THIN}-]?({'|'.join(_SCALES)})\b", re.IGNORECASE)
_SHORT_SCALE = re.compile(rf"[ {_THIN}]?({'|'.join(_SHORT_SCALES)})\b", re.IGNORECASE)
_PERCENT = re.compile(rf"[ {_THIN}]?(?:%|percent\b|per cent\b)", re.IGNORECASE)
SIGNS = {"$": "USD", "US$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "₩": "KRW", "₽": "RUB", "₺": "TRY"}
_CODES = [
    "USD",
    "EUR",
    "GBP",
    "JPY",
    "CHF",
    "CNY",
    "INR",
    "KRW",
    "RUB",
    "TRY",
    "AUD",
    "CAD",
    "NZD",
    "SEK",
    "NOK",
    "DKK",
    "PLN",
    "CZK",
    "HUF",
    "BRL",
    "MXN",
    "ZAR",
    "SGD",
    "HKD",
]
_NAMES = {"dollar": "USD", "euro": "EUR", "pound": "GBP", "yen": "JPY", "franc": "CHF", "rupee": "INR"}
_BEFORE = re.compile(rf"(US\$|[$€£¥₹₩₽₺]|\b(?:{'|'.join(_CODES)}))[ {_THIN}]?[-+−]?$")
_AFTER = re.compile(rf"[ {_THIN}]?(?:([$€£¥₹₩₽₺])|({'|'.join(_CODES)})\b|({'|'.join(_NAMES)})s?\b)")
_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_FOREIGN = (
    "januar janvier enero gennaio janeiro januari jän janv ene gen",
    "februar février fevrier febrero febbraio fevereiro februari févr",
    "märz mars marzo março maart mär mrt",
    "avril abril aprile avr abr",
    "mai mayo maggio maio mei mag",
    "juni juin junio giugno junho giu",
    "juli juillet julio luglio julho juil lug",
    "août aout agosto augustus ago",
    "septembre septiembre settembre setembro set",
    "oktober octobre octubre ottobre outubro okt ott out",
    "novembre noviembre novembro",
    "dezember décembre decembre diciembre dicembre dezembro dez déc dic",
)
"""Names and short forms of months that are not English, January first."""
_NUMBERS = {name: number for number, names in enumerate(_FOREIGN, start=1) for name in names.split()}
_ANY_MONTH = rf"(?P<month>{'|'.join(sorted((*_MONTHS, *_NUMBERS), key=len, reverse=True))}|jan|feb|mar|apr|jun|jul|aug|sept|sep|oct|nov|dec)\b\.?"
_MONTH = rf"(?P<month>{'|'.join(_MONTHS)}|jan|feb|mar|apr|jun|jul|aug|sept|sep|oct|nov|dec)\b\.?"
_DAY = r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>[0-9]{4})"
_DATES = tuple(
    re.compile(rf"(?<![\w.,/-]){pattern}(?![\w/-])(?![.,][0-9])", re.IGNORECASE)
    for pattern in (
        r"(?P<year>[0-9]{4})(?P<between>[-/.])(?P<number>[0-9]{1,2})(?:(?P=between)(?P<day>[0-9]{1,2}))?",
        r"(?P<first>[0-9]{1,2})(?P<between>[-/.])(?P<second>[0-9]{1,2})(?P=between)(?P<year>[0-9]{4})",
        rf"{_DAY}(?:(?:\.|er|º)? |-|\.)(?:of |de )?{_ANY_MONTH}(?:,? |-| de ){_YEAR}",
        rf"{_MONTH}[ -]{_DAY},?[ -]{_YEAR}",
        rf"{_MONTH},?[ -]{_YEAR}",
    )
)


@dataclass(frozen=True, slots=True)
class Value:
    """``text[start:end]`` means one of ``readings``, of ``unit`` where one is written: a currency or ``%``."""

    start: int
    end: int
    readings: frozenset[object]
    unit: str = ""

    def is_equal(self, other: Value) -> bool:
        """Units differ only where both are written: a table's column has its unit in its header."""
        return bool(self.readings & other.readings) and (self.unit == other.unit or not (self.unit and other.unit))


def read_values(text: str, kind: Kind) -> list[Value]:
    return sorted(_READERS[kind](text), key=lambda value: (value.start, value.end)) if kind in _READERS else []


def _read_numbers(text: str) -> Iterator[Value]:
    for start, end, number in _find_numbers(text):
        scaled, end = _scale(text, end, number, _SCALE, _SCALES)
        percent = _PERCENT.match(text, end)
        yield Value(start, percent.end() if percent else end, frozenset([scaled]), "%" if percent else "")


def _read_money(text: str) -> Iterator[Value]:
    for start, end, number in _find_numbers(text):
        number, end = _scale(text, end, number, _SCALE, _SCALES)
        number, end = _scale(text, end, number, _SHORT_SCALE, _SHORT_SCALES)
        near = max(0, start - 6)
        before, after = _BEFORE.search(text[near:start]), _AFTER.match(text, end)
        unit = ""
        if before:
            start, unit = near + before.start(), SIGNS.get(before[1], before[1])
        if after:
            end, unit = after.end(), unit or SIGNS.get(after[1]) or after[2] or _NAMES[after[3]]
        yield Value(start, end, frozenset([number]), unit)


def _read_dates(text: str) -> Iterator[Value]:
    for pattern in _DATES:
        for match in pattern.finditer(text):
            if readings := frozenset(_read_date(match.groupdict())):
                yield Value(*match.span(), readings)


def _read_date(said: dict[str, str | None]) -> Iterator[tuple[int, int, int]]:
    """Year, month and day; day 0 where only the month is said."""
    year, day = int(said["year"] or 0), int(said.get("day") or 0)
    if said.get("first"):
        first, second = int(said["first"] or 0), int(said["second"] or 0)
        orders = [(second, first)] if said["between"] == "." else [(second, first), (first, second)]
    elif said.get("month"):
        name = (said["month"] or "").lower()
        orders = [(_NUMBERS.get(name) or _english(name), day)]
    else:
        orders = [(int(said["number"] or 0), day)]
    for month, day in orders:
        if _is_date(year, month, day or 1):
            yield year, month, day


def _english(name: str) -> int:
    return 1 + next(place for place, month in enumerate(_MONTHS) if month.startswith(name[:3]))


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _find_numbers(text: str) -> Iterator[tuple[int, int, Decimal]]:
    for run in _RUN.finditer(text):
        before = text[max(0, run.start() - 3) : run.start()]
        if before[-1:].isalpha() and before not in _CODES:
            continue
        for start, end, number in _read_run(run.group()):
            start, end = start + run.start(), end + run.start()
            if _PART_BEFORE.search(text[max(0, start - 2) : start]) or _PART_AFTER.match(text, end):
                continue
            yield (start - 1, end, -number) if has_sign(text, start) else (start, end, number)


def has_sign(text: str, start: int) -> bool:
    """Whether a minus stands right before the number, and no word, number or bracket before that."""
    return bool(_SIGN.search(text[max(0, start - 2) : start]))


def _read_run(run: str) -> Iterator[tuple[int, int, Decimal]]:
    """Digits with single points, commas or blanks between them: one number, or several with blanks or commas between."""
    if len(run) > _MOST_DIGITS and " " not in run:
        return
    number = _read_number(run) if len(run) <= _MOST_DIGITS else None
    if number is not None:
        yield 0, len(run), number
    if number is None or " " in run:
        for part in re.finditer(r"[^ ]+" if " " in run else r"[^,]+", run):
            if part.group() != run and (alone := _read_number(part.group())) is not None:
                yield *part.span(), alone


def _read_number(said: str) -> Decimal | None:
    grouped = _GROUPED.fullmatch(said)
    if grouped and _is_thousands(*grouped.group(1, 2, 3)):
        whole = re.sub("[^0-9]", "", grouped[1])
        return Decimal(f"{whole}.{grouped[4] or 0}").normalize()
    plain = _PLAIN.fullmatch(said)
    return Decimal(f"{plain[1]}.{plain[2] or 0}").normalize() if plain else None


def _is_thousands(whole: str, between: str, point: str | None) -> bool:
    if between == ".":
        return point == "," or (point is None and whole.count(".") > 1)
    return between != point


def _scale(
    text: str, end: int, number: Decimal, pattern: re.Pattern[str], scales: dict[str, int]
) -> tuple[Decimal, int]:
    match = pattern.match(text, end)
    return (number.scaleb(scales[match[1].lower()]).normalize(), match.end()) if match else (number, end)


_READERS: dict[Kind, Callable[[str], Iterator[Value]]] = {
    "number": _read_numbers,
    "money": _read_money,
    "date": _read_dates,
}
