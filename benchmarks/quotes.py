"""Quotes of public paragraphs, changed as models and files change them, each with the place that it means or with none."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

CORPORA = ("state_of_the_union", "wikitexts", "finance", "pubmed", "chatlogs")
PARAGRAPH, PER_CORPUS = 1200, 60
WORD = re.compile(r"\S+")
THOUSANDS = re.compile(r"(?<![\w.,$€£])[0-9]{1,3}(?:,[0-9]{3})+(?![\w.,])")
DAY = re.compile(
    r"\b(?:January|February|March|April|May|June|July|August|September|October|November|December) [0-9]{1,2}, [0-9]{4}\b"
)
FORMS = str.maketrans({"-": "–", "–": "-", "—": "-", "'": "’", "’": "'", '"': "“", "“": '"', "”": '"'})
FILLERS = ("indeed", "however", "so", "clearly", "perhaps", "also", "then", "of course")


@dataclass(frozen=True, slots=True)
class Case:
    """``quote`` is looked for in ``text``; ``start`` and ``end`` are of what it means, both 0 where nothing does. ``kind`` is that of ``align``."""

    change: str
    text: str
    quote: str
    start: int
    end: int
    kind: str = "text"

    @property
    def meant(self) -> str:
        return self.text[self.start : self.end]


@dataclass(frozen=True, slots=True)
class Paragraph:
    source: str
    text: str


def read_paragraphs(data: Path, half: str, seed: int) -> list[Paragraph]:
    """XQuAD's paragraphs of half of the articles, by title, and pieces of one half of each long document of chunking_evaluation."""
    articles = json.loads((data / "xquad_en/xquad.en.json").read_text(encoding="utf-8"))["data"]
    titles = choose_titles([article["title"] for article in articles], half, seed)
    found = [
        Paragraph(article["title"], paragraph["context"])
        for article in articles
        if article["title"] in titles
        for paragraph in article["paragraphs"]
    ]
    for name in CORPORA:
        text = (data / f"chunking_evaluation/corpora/{name}.md").read_text(encoding="utf-8")
        text = text[: len(text) // 2] if half == "choose" else text[len(text) // 2 :]
        pieces = [text[start : start + PARAGRAPH] for start in range(0, len(text) - PARAGRAPH, PARAGRAPH)]
        found += [Paragraph(name, piece) for piece in random.Random(seed).sample(pieces, min(PER_CORPUS, len(pieces)))]
    return found


def choose_titles(titles: Sequence[str], half: str, seed: int) -> frozenset[str]:
    drawn = random.Random(seed).sample(sorted(set(titles)), len(set(titles)))
    middle = len(drawn) // 2
    return frozenset(drawn[:middle] if half == "choose" else drawn[middle:])


def make_cases(paragraphs: Sequence[Paragraph], most: int, seed: int) -> list[Case]:
    """``most`` cases, as many of each change as there are, in an order that was drawn; a change without enough of them has fewer."""
    rng = random.Random(seed)
    cases = list[Case]()
    makers: dict[str, Callable[[Paragraph, random.Random], Case | None]] = {
        **{name: _changed(name, change) for name, change in CHANGES.items()},
        "hyphen in the text": _hyphenate_text,
        "another number": _other_number,
        "another paragraph": lambda paragraph, rng: _other_paragraph(paragraph, paragraphs, rng),
        "value in another form": _rewritten,
        "another value": _other_value,
    }
    share = most // len(makers)
    for maker in makers.values():
        made = list[Case]()
        for _attempt in range(40 * share):
            if len(made) == share:
                break
            if case := maker(rng.choice(paragraphs), rng):
                made.append(case)
        cases += made
    short = most - len(cases)
    while short > 0:
        name = rng.choice(list(CHANGES))
        if case := makers[name](rng.choice(paragraphs), rng):
            cases.append(case)
            short -= 1
    return rng.sample(cases, len(cases))


def draw_span(text: str, rng: random.Random, least: int = 3, most: int = 25) -> tuple[int, int] | None:
    """Whole words in a row, without what stands around them."""
    words = list(WORD.finditer(text))[1:-1]  # the first and the last of a piece may be cut
    size = rng.randint(least, most)
    if len(words) < size:
        return None
    first = rng.randrange(len(words) - size + 1)
    start, end = words[first].start(), words[first + size - 1].end()
    while start < end and not text[start].isalnum():
        start += 1
    while end > start and not text[end - 1].isalnum():
        end -= 1
    return (start, end) if end - start > 3 else None


def _changed(
    name: str, change: Callable[[str, random.Random], str]
) -> Callable[[Paragraph, random.Random], Case | None]:
    def make(paragraph: Paragraph, rng: random.Random) -> Case | None:
        span = draw_span(paragraph.text, rng, least=1 if name in ("as it is", "case") else 5)
        if span is None:
            return None
        meant = paragraph.text[slice(*span)]
        quote = change(meant, rng)
        if quote == meant and name != "as it is":
            return None
        return Case(name, paragraph.text, quote, *span)

    return make


def draw_count(words: Sequence[str], rng: random.Random) -> int:
    """How many words are changed: at least one, and up to a third of them."""
    return max(1, int(len(words) * rng.choice((1 / 10, 1 / 5, 1 / 3))))


def _change_case(quote: str, rng: random.Random) -> str:
    return rng.choice((str.upper, str.lower, str.title))(quote)


def _change_blanks(quote: str, rng: random.Random) -> str:
    return re.sub(" ", lambda _blank: rng.choice((" ", "  ", "\n", "\u00a0", "\n\n")), quote)


def _change_forms(quote: str, _rng: random.Random) -> str:
    return quote.translate(FORMS)


def _hyphenate(quote: str, rng: random.Random) -> str:
    """The end of a line within a word of six letters or more, as in text copied from a page."""
    words = list(re.finditer(r"[A-Za-z]{6,}", quote))
    if not words:
        return quote
    word = rng.choice(words)
    cut = rng.randint(word.start() + 2, word.end() - 2)
    return f"{quote[:cut]}-\n{quote[cut:]}"


def _slip(quote: str, rng: random.Random) -> str:
    """A letter of some long words is dropped, doubled, swapped with the next, or another one."""
    words = quote.split(" ")
    long = [place for place, word in enumerate(words) if word.isalpha() and len(word) > 3]
    for place in rng.sample(long, min(len(long), draw_count(words, rng))):
        word = words[place]
        at = rng.randrange(1, len(word) - 1)
        words[place] = rng.choice(
            (
                word[:at] + word[at + 1 :],
                word[:at] + word[at] + word[at:],
                word[:at] + word[at + 1] + word[at] + word[at + 2 :],
                word[:at] + rng.choice("abcdefghijklmnopqrstuvwxyz") + word[at + 1 :],
            )
        )
    return " ".join(words)


def _drop(quote: str, rng: random.Random) -> str:
    """Neither the first word nor the last."""
    words = quote.split(" ")
    inner = range(1, len(words) - 1)
    gone = set(rng.sample(inner, min(len(inner), draw_count(words, rng))))
    return " ".join(word for place, word in enumerate(words) if place not in gone)


def _insert(quote: str, rng: random.Random) -> str:
    words = quote.split(" ")
    for _ in range(draw_count(words, rng)):
        words.insert(rng.randint(1, len(words) - 1) if len(words) > 1 else 1, rng.choice(FILLERS))
    return " ".join(words)


def _shuffle(quote: str, rng: random.Random) -> str:
    words = quote.split()
    return " ".join(rng.sample(words, len(words)))


def _hyphenate_text(paragraph: Paragraph, rng: random.Random) -> Case | None:
    span = draw_span(paragraph.text, rng, least=3)
    if span is None:
        return None
    quote = paragraph.text[slice(*span)]
    there = _hyphenate(quote, rng)
    if there == quote:
        return None
    text = paragraph.text[: span[0]] + there + paragraph.text[span[1] :]
    return Case("hyphen in the text", text, quote, span[0], span[0] + len(there))


def _other_number(paragraph: Paragraph, rng: random.Random) -> Case | None:
    """One digit of the quote is another, and the text does not say that too."""
    span = draw_span(paragraph.text, rng, least=1, most=15)
    quote = paragraph.text[slice(*span)] if span else ""
    quote = _change_digit(quote, rng)
    if not quote or _says(paragraph.text, quote):
        return None
    return Case("another number", paragraph.text, quote, 0, 0)


def _other_paragraph(paragraph: Paragraph, paragraphs: Sequence[Paragraph], rng: random.Random) -> Case | None:
    """Half of them of the same article or document, which says much alike."""
    near = [other for other in paragraphs if other.source == paragraph.source]
    other = rng.choice(near if rng.random() < 0.5 else paragraphs)
    span = draw_span(other.text, rng, least=2)
    if other == paragraph or span is None or _says(paragraph.text, other.text[slice(*span)]):
        return None
    return Case("another paragraph", paragraph.text, other.text[slice(*span)], 0, 0)


def _rewritten(paragraph: Paragraph, rng: random.Random) -> Case | None:
    """A number without its commas, or a day of the form 2021-03-31."""
    found = list(_values(paragraph.text))
    if not found:
        return None
    start, end, quote, kind = rng.choice(found)
    return Case("value in another form", paragraph.text, quote, start, end, kind)


def _other_value(paragraph: Paragraph, rng: random.Random) -> Case | None:
    found = list(_values(paragraph.text))
    if not found:
        return None
    _start, _end, quote, kind = rng.choice(found)
    quote = _change_digit(quote, rng)
    if any(quote == other[2] for other in found) or _says(paragraph.text, quote):
        return None
    return Case("another value", paragraph.text, quote, 0, 0, kind)


def _values(text: str) -> Iterator[tuple[int, int, str, str]]:
    for match in THOUSANDS.finditer(text):
        yield *match.span(), match.group().replace(",", ""), "number"
    for match in DAY.finditer(text):
        yield *match.span(), datetime.strptime(match.group(), "%B %d, %Y").date().isoformat(), "date"  # noqa: DTZ007


def _change_digit(quote: str, rng: random.Random) -> str:
    places = [place for place, letter in enumerate(quote) if letter.isascii() and letter.isdigit()]
    if not places:
        return ""
    place = rng.choice(places)
    digit = rng.choice([digit for digit in "123456789" if digit != quote[place]])
    return quote[:place] + digit + quote[place + 1 :]


def _says(text: str, quote: str) -> bool:
    """Whether the words of the quote stand there, whatever is between them: by another rule than the one that is measured."""
    there, wanted = re.findall(r"\w+", text.lower()), re.findall(r"\w+", quote.lower())
    return any(there[place : place + len(wanted)] == wanted for place in range(len(there) - len(wanted) + 1))


CHANGES: dict[str, Callable[[str, random.Random], str]] = {
    "as it is": lambda quote, _rng: quote,
    "case": _change_case,
    "blanks": _change_blanks,
    "dashes and quotation marks": _change_forms,
    "hyphen in the quote": _hyphenate,
    "typos": _slip,
    "dropped words": _drop,
    "inserted words": _insert,
    "shuffled words": _shuffle,
}
SAME = (
    "as it is",
    "case",
    "blanks",
    "dashes and quotation marks",
    "hyphen in the quote",
    "hyphen in the text",
    "value in another form",
)
NEAR = ("typos", "dropped words", "inserted words")
NONE = ("another number", "another paragraph", "another value")


def is_same(left: str, right: str) -> bool:
    """Whether two texts have the same letters and digits, small or capital, and the same points and commas between digits."""
    return _level(left) == _level(right)


def _level(text: str) -> str:
    return re.sub(r"(?<![0-9])[.,]|[.,](?![0-9])|[^\w.,]|_", "", text.lower())


def iou(left: tuple[int, int], right: tuple[int, int]) -> float:
    """Characters in both over characters in either."""
    both = max(0, min(left[1], right[1]) - max(left[0], right[0]))
    return both / (left[1] - left[0] + right[1] - right[0] - both)
