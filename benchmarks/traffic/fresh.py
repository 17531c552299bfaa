"""Twenty more templates, written after the changes that the second twenty led to."""

from __future__ import annotations

import random

from traffic import words
from traffic.template import GENERIC, Template, as_json, calling, choice, prose

DESK = """You work at the copy desk of a weekly paper for sailors. House style: numbers up to twelve in words, ships in italics, no exclamation marks, British spelling,
winds in Beaufort, distances in nautical miles. You do one job at a time and add no remarks of your own."""
SHOTS = [
    "Input: a wet dog\nOutput: damp hound",
    "Input: the last bus\nOutput: final coach",
    "Input: cold soup\nOutput: chilled broth",
    "Input: an old map\nOutput: aged chart",
    "Input: loud neighbours\nOutput: noisy people next door",
    "Input: a broken oar\nOutput: snapped paddle",
]
HANZI = "山水火土木金日月人口手足目耳风雨云电车马鱼鸟花草米茶书画"


def shots(draw: random.Random) -> str:
    return "\n\n".join(draw.sample(SHOTS, 3))


def chinese(draw: random.Random) -> str:
    return (
        "，".join("".join(draw.choice(HANZI) for _ in range(draw.randint(3, 9))) for _ in range(draw.randint(1, 4)))
        + "。"
    )


TEMPLATES = (
    Template(
        "desk_headline",
        "Headline, at most six words, for this report:\n\n{report}",
        {"report": lambda draw: words.text(draw, 2, 5)},
        lambda d: " ".join(words.word(d) for _ in range(5)),
        system=DESK,
    ),
    Template(
        "desk_shorten",
        "Cut this report to half its length and keep all names:\n\n{report}",
        {"report": lambda draw: words.text(draw, 2, 5)},
        prose(1, 2),
        system=DESK,
    ),
    Template(
        "desk_facts",
        "List what in this report must be checked by phone before we print:\n\n{report}",
        {"report": lambda draw: words.text(draw, 2, 5)},
        prose(1, 4),
        system=DESK,
    ),
    Template(
        "sender",
        "{mail}",
        {"mail": words.email},
        words.person,
        system="You are given one mail of the housing office. Return the name of its sender and nothing else.",
    ),
    Template(
        "deadline",
        "{mail}",
        {"mail": words.email},
        choice("none", "this week", "this month", "later"),
        system="You are given one mail of the housing office. Return the span of its deadline and nothing else.",
    ),
    Template(
        "wrapped",
        '{"job": "rate the risk of a claim from 1 to 5", "claim": "{claim}", "sum": "{sum}"}',
        {"claim": lambda draw: words.text(draw, 1, 3), "sum": lambda draw: f"{draw.randint(10, 9000)} EUR"},
        choice("1", "2", "3", "4", "5"),
        weight=2,
    ),
    Template("typos", "Fix typos:\n{text}", {"text": lambda draw: words.text(draw, 1, 3)}, prose(1, 3), weight=1.5),
    Template(
        "german",
        "Fasse den folgenden Brief in einem einzigen Satz zusammen, ohne Namen zu nennen:\n\n{letter}",
        {"letter": words.email},
        prose(1, 1),
    ),
    Template(
        "chinese",
        "请把下面的句子改写成更礼貌的说法，不要增加内容：\n{sentence}",
        {"sentence": chinese},
        chinese,
    ),
    Template(
        "similar",
        "Rephrase the input with synonyms.\n\n{shots}\n\nInput: {phrase}\nOutput:",
        {"shots": shots, "phrase": lambda draw: f"{draw.choice(words.COLOURS)} {draw.choice(words.THINGS)} {draw.choice(words.WHEN)}"},
        lambda d: f"{d.choice(words.COLOURS)} {d.choice(words.THINGS)}",
        weight=1.5,
    ),
    Template(
        "logged",
        "[{time}] user={user} plan={plan}\nMessage: {message}\n\nIs the user about to leave us? Reply LEAVES, STAYS or UNCLEAR.",
        {
            "time": words.stamp,
            "user": lambda draw: f"u{draw.randint(1000, 999999)}",
            "plan": lambda draw: draw.choice(("free", "team", "company")),
            "message": lambda draw: words.text(draw, 1, 3),
        },
        choice("LEAVES", "STAYS", "UNCLEAR"),
        weight=2,
    ),
    Template(
        "tutor",
        "I am in class {grade} and my subject is {subject}. Ask me one thing after the other and wait for what I say. Begin with: {topic}",
        {
            "grade": lambda draw: str(draw.randint(5, 12)),
            "subject": lambda draw: draw.choice(("physics", "music", "history", "sports")),
            "topic": lambda draw: f"{words.word(draw)} and {words.word(draw)}",
        },
        prose(1, 2),
        system=GENERIC,
        chat=True,
        weight=1.5,
    ),
    Template(
        "stock",
        "{wish}",
        {"wish": lambda draw: words.text(draw, 1, 2)},
        calling(look_up=lambda d: {"item": d.choice(words.THINGS)}, reserve=lambda d: {"item": d.choice(words.THINGS), "count": d.randint(1, 9)}),
        system="Shop assistant for {shop}. Use the tools. If nothing fits, ask.",
        noise={"shop": lambda d: f"{d.choice(words.NAMES)} & {d.choice(words.NAMES)}"},
        tools=("look_up", "reserve"),
        chat=True,
    ),
    Template(
        "route",
        "{question}",
        {"question": words.question},
        calling(route=lambda d: {"team": d.choice(("north", "south", "sea"))}),
        tools=("route",),
        system=GENERIC,
    ),
    Template(
        "compare",
        "Offer A: {first}\nOffer B: {second}\n\nWhich of the two offers is the cheaper one over three years, A or B?",
        {"first": words.sentence, "second": words.sentence},
        choice("A", "B"),
        system=GENERIC,
        weight=1.5,
    ),
    Template(
        "steps",
        "{recipe}\n\nTurn this into numbered steps. Units: {units}. Reader: a beginner. One step per line.",
        {"recipe": lambda draw: words.text(draw, 3, 7), "units": lambda draw: draw.choice(("metric", "imperial"))},
        prose(3, 6),
    ),
    Template(
        "alt",
        "Describe the picture for people who cannot see it.\nTitle: {title}\nCaption: {caption}\nPhotographer: {photographer}\nUse one sentence and no adjectives of taste.",
        {
            "title": lambda draw: " ".join(words.word(draw) for _ in range(2)),
            "caption": words.sentence,
            "photographer": words.person,
        },
        prose(1, 1),
        optional=("photographer",),
        loose=True,
    ),
    Template(
        "invoice",
        "{scan}",
        {"scan": lambda draw: "\n".join(f"{draw.choice(words.THINGS)}  {draw.randint(1, 9)} x {draw.randint(1, 900)}.{draw.randint(0, 99):02d}" for _ in range(draw.randint(2, 7)))},
        as_json(total=lambda d: d.randint(1, 9999) / 100, lines=lambda d: d.randint(1, 9), currency=lambda d: d.choice(("EUR", "SEK"))),
        system="{stamp} Read the scan of an invoice and return total, lines and currency as JSON.",
        noise={"stamp": words.stamp},
        weight=1.5,
    ),
    Template(
        "policy",
        "Claimant: {name}\nStatement:\n{statement}\n\nDecision and one sentence of reason:",
        {"name": words.person, "statement": lambda draw: words.text(draw, 2, 4)},
        prose(1, 2),
        system="Decide about claims after a flood. Cellars are insured up to 2 metres. Cars are not insured. Furniture is insured at today's price.",
        later="Decide about claims after a flood. Cellars are insured up to 3 metres. Cars are not insured. Furniture is insured at its price of today.",
    ),
    Template(
        "poll",
        "{answer}",
        {"answer": words.sentence},
        choice("agrees", "disagrees", "off topic"),
        system="Poll of {day}, question {number}: should the old harbour be closed to cars? Say whether the answer agrees, disagrees or is off topic.",
        noise={"day": lambda d: words.stamp(d)[:10], "number": lambda d: str(d.randint(1, 40))},
    ),
)  # fmt: skip
