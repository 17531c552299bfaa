"""Sentences and values that fill the places of made templates: drawn word by word, so that hardly two are the same."""

from __future__ import annotations

import random


def words_of(text: str) -> list[str]:
    return text.split()


PEOPLE = words_of(
    "Ada Bruno Chidi Dana Emre Farah Goran Hana Ivo Jana Kofi Lena Marek Nadia Omar Petra Quinn Rosa Sven Tilda Umar Vera Wim Xenia Yusuf Zora"
)
NAMES = words_of(
    "Abara Brandt Castell Dvorak Eriksen Fontane Gruber Haddad Iversen Jankovic Kowal Lindqvist Moreau Novak Okafor Pires"
)
THINGS = words_of("""kettle blender parcel invoice jacket bicycle lamp router headset printer tent mattress sofa drill camera backpack
watch keyboard monitor charger stroller grill heater toaster scooter suitcase telescope violin aquarium hammock""")
COLOURS = words_of("red blue green grey black white yellow brown silver purple")
PLACES = words_of(
    "Lisbon Oslo Kraków Ghent Porto Turin Aarhus Lyon Graz Bergen Malmö Utrecht Basel Split Varna Cork Leeds Tartu"
)
ACTS = words_of("""arrived broke vanished leaked burned stopped started cracked faded shrank rattled overheated froze doubled expired
jammed slipped bent failed restarted""")
WHEN = """yesterday|last week|this morning|on Monday|two days ago|right after lunch|before the holiday|at noon|over the weekend|in March|
since the update|after the move|during the storm|when I came home|in the middle of the night""".replace("\n", "").split(
    "|"
)
WHY = """because nobody checked it|although the box looked fine|while my neighbour was watching|so the children were upset|and it smells of smoke|
but the light still blinks|which surprised all of us|and now I cannot work|though the manual says otherwise|until I pulled the plug|
and the shop is closed|since the cable is too short""".replace("\n", "").split("|")
ASIDES = """Nobody at the desk could say more.|I have two photos of it.|It was a present for my aunt.|The price was fine, mostly.|We waited for an hour.|
My sister had the same trouble once.|That is all I know.|Who pays for the way back?|It used to be quiet.|The second one works.|
Rain did not help either.|I kept the receipt somewhere.|Two screws were missing too.|A friend lent me hers.""".replace(
    "\n", ""
).split("|")
SYLLABLES = words_of("ba ko ri mu ta se lo ni ve do pa gu hi zo fe ra")


def word(draw: random.Random) -> str:
    return "".join(draw.choice(SYLLABLES) for _ in range(draw.randint(2, 4)))


def person(draw: random.Random) -> str:
    return f"{draw.choice(PEOPLE)} {draw.choice(NAMES)}"


def sentence(draw: random.Random) -> str:
    kind = draw.randrange(5)
    thing, colour = draw.choice(THINGS), draw.choice(COLOURS)
    if kind == 0:
        return f"The {colour} {thing} {draw.choice(ACTS)} {draw.choice(WHEN)} {draw.choice(WHY)}."
    if kind == 1:
        return f"{draw.choice(PEOPLE)} from {draw.choice(PLACES)} says that one {thing} {draw.choice(ACTS)} {draw.choice(WHEN)}."
    if kind == 2:
        return f"My {thing} number {draw.randint(100, 99999)} {draw.choice(ACTS)} {draw.choice(WHY)}."
    if kind == 3:
        return draw.choice(ASIDES)
    return f"{word(draw).capitalize()} {word(draw)} {draw.choice(ACTS)} near {draw.choice(PLACES)}, {draw.choice(WHY)}."


def text(draw: random.Random, least: int = 1, most: int = 4) -> str:
    return " ".join(sentence(draw) for _ in range(draw.randint(least, most)))


def article(draw: random.Random) -> str:
    return "\n\n".join(text(draw, 2, 6) for _ in range(draw.randint(1, 4)))


def question(draw: random.Random) -> str:
    thing = draw.choice(THINGS)
    return draw.choice(
        (
            f"When did the {thing} of {draw.choice(PEOPLE)} arrive?",
            f"Who in {draw.choice(PLACES)} has a {draw.choice(COLOURS)} {thing}?",
            f"How many {thing}s {draw.choice(ACTS)} {draw.choice(WHEN)}?",
            f"Why is {word(draw)} {draw.choice(COLOURS)}?",
            f"{draw.choice(PLACES)} or {draw.choice(PLACES)}: where is the {thing}?",
        )
    )


def product(draw: random.Random) -> str:
    return f"{draw.choice(COLOURS)} {draw.choice(THINGS)} {word(draw).upper()}-{draw.randint(1, 99)}"


def features(draw: random.Random) -> str:
    return ", ".join(f"{draw.choice(COLOURS)} {draw.choice(THINGS)}" for _ in range(draw.randint(2, 5)))


def code(draw: random.Random) -> str:
    names = [word(draw) for _ in range(4)]
    lines = [
        draw.choice(
            (
                f"def {names[0]}({names[1]}, {names[2]}):",
                f"for {names[0]} in {names[1]}:",
                f"with {names[2]}() as {names[0]}:",
            )
        )
    ]
    for _ in range(draw.randint(1, 5)):
        lines.append(f"    {draw.choice(names)} = {draw.choice(names)} {draw.choice('+-*')} {draw.randint(1, 99)}")
    return "\n".join(
        [*lines, draw.choice((f"    return {draw.choice(names)}", f"    print({draw.choice(names)})", "    pass"))]
    )


def table(draw: random.Random) -> str:
    columns = ", ".join(f"{word(draw)} {draw.choice(('int', 'text', 'date'))}" for _ in range(draw.randint(2, 6)))
    return draw.choice(
        (f"create table {word(draw)} ({columns})", f"{word(draw)}: {columns}", f"view {word(draw)} of {columns}")
    )


def email(draw: random.Random) -> str:
    return f"{draw.choice(('Hello', 'Hi', 'Good day', 'Dear team'))},\n\n{text(draw, 1, 5)}\n\n{person(draw)}"


def stamp(draw: random.Random) -> str:
    return f"{draw.randint(2024, 2026)}-{draw.randint(1, 12):02d}-{draw.randint(1, 28):02d}T{draw.randint(0, 23):02d}:{draw.randint(0, 59):02d}:{draw.randint(0, 59):02d}Z"


def chat(draw: random.Random) -> str:
    """What somebody asks once."""
    thing, place, name = draw.choice(THINGS), draw.choice(PLACES), word(draw)
    return draw.choice(
        (
            f"what's a good {thing} for {place}?",
            f"write me a poem about a {draw.choice(COLOURS)} {thing} and {name}",
            f"can you explain {name} to a child",
            f"I want to visit {place} {draw.choice(WHEN)}, any ideas? {sentence(draw)}",
            f"give me {draw.randint(3, 12)} names for a {thing} shop in {place}",
            f"{sentence(draw)} what should I do?",
            f"how do you say {thing} in {name}",
            f"plan a party for {draw.choice(PEOPLE)} with a {thing}, {draw.choice(WHY)}",
            f"hi {draw.choice(PEOPLE)} here. {text(draw)}",
            f"is {place} nicer than {draw.choice(PLACES)} {draw.choice(WHEN)}",
            f"{code(draw)}\n{sentence(draw)}",
            f"{draw.choice(THINGS)} vs {thing}?",
        )
    )
