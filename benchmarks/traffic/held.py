"""Twenty other templates, written after the mining was made; what the first look at them showed led to changes."""

from __future__ import annotations

from traffic import words
from traffic.template import GENERIC, Template, as_json, calling, choice, prose

HANDBOOK = """# Kitchen handbook, short form
- Orders come in by phone before nine and leave by van after eleven.
- Allergens are named in full: nuts, milk, eggs, fish, soy, wheat, celery, mustard.
- A complaint about taste is answered by the cook, one about time by the driver.
- Nobody changes a booked menu without the signature of the guest.
- Glass that comes back chipped is counted and thrown away.
"""

TEMPLATES = (
    Template(
        "complaints",
        "{note}",
        {"note": lambda draw: words.text(draw, 1, 3)},
        choice("cook", "driver", "office"),
        system=f"{HANDBOOK}\nWho answers the guest's note? Say cook, driver or office.",
        weight=2,
    ),
    Template(
        "allergens",
        "{note}",
        {"note": lambda draw: words.text(draw, 1, 3)},
        as_json(allergens=lambda d: [words.word(d) for _ in range(d.randint(0, 3))], certain=lambda d: d.random() < 0.5),
        system=f"{HANDBOOK}\nWhich allergens does the guest's note speak of? Return JSON with allergens and certain.",
    ),
    Template(
        "apology",
        "{note}",
        {"note": lambda draw: words.text(draw, 1, 3)},
        prose(2, 4),
        system=f"{HANDBOOK}\nWrite the guest three lines that say sorry, in the name of the house.",
    ),
    Template(
        "french",
        "Translate to French: {text}",
        {"text": lambda draw: words.text(draw, 1, 4)},
        prose(1, 4),
        weight=1.5,
    ),
    Template(
        "tagged",
        "You will see a customer's letter between tags and must find every product in it.\n\n<letter>\n{letter}\n</letter>\n\nReturn a JSON list under the key products.",
        {"letter": words.email},
        as_json(products=lambda d: [words.product(d) for _ in range(d.randint(1, 4))]),
        weight=2,
    ),
    Template(
        "tagged_people",
        "You will see a customer's letter between tags and must find every person in it.\n\n<letter>\n{letter}\n</letter>\n\nReturn a JSON list under the key people.",
        {"letter": words.email},
        as_json(people=lambda d: [words.person(d) for _ in range(d.randint(1, 4))]),
    ),
    Template(
        "toned",
        "## Task\nAnswer the message in the tone given.\n\n## Tone\n{tone}\n\n## Message\n{message}",
        {"tone": lambda draw: draw.choice(("warm", "strict", "playful")), "message": lambda draw: words.text(draw, 1, 3)},
        prose(2, 3),
        system="You answer messages for a small museum of clocks.",
    ),
    Template(
        "minutes",
        "{transcript}\n---\nMinutes of the meeting above, as at most five bullet points, decisions first:",
        {"transcript": words.article},
        prose(3, 5),
        system=GENERIC,
        weight=1.5,
    ),
    Template(
        "entail",
        "Premise: {premise}\nHypothesis: {hypothesis}\nDoes the premise prove the hypothesis? yes, no or open:",
        {"premise": lambda draw: words.text(draw, 1, 2), "hypothesis": words.sentence},
        choice("yes", "no", "open"),
        weight=2,
    ),
    Template(
        "urgency",
        "{mail}",
        {"mail": words.email},
        choice("now", "today", "whenever"),
        system="How soon must somebody read this mail? One word: now, today or whenever.",
        later="How soon must somebody in the team read this mail? Just one word: now, today or whenever.",
        weight=1.5,
    ),
    Template(
        "bank",
        "{message}",
        {"message": lambda draw: words.text(draw, 1, 2)},
        prose(1, 3),
        system="Session {session}, opened {opened}. You help customers of Nordhavn Savings with cards and transfers. You never name a balance. The customer is called {customer} and lives in {city}.",
        noise={
            "session": lambda d: f"{d.getrandbits(48):012x}",
            "opened": words.stamp,
            "customer": words.person,
            "city": lambda d: d.choice(words.PLACES),
        },
        chat=True,
        weight=2,
    ),
    Template(
        "calendar",
        "{wish}",
        {"wish": lambda draw: words.text(draw, 1, 1)},
        calling(add_event=lambda d: {"title": words.word(d), "day": d.randint(1, 31)}),
        system="You keep the calendar of a dentist. Add what is asked for.",
        tools=("add_event",),
    ),
    Template(
        "warehouse",
        "{wish}",
        {"wish": lambda draw: words.text(draw, 1, 2)},
        calling(move_box=lambda d: {"shelf": d.randint(1, 90)}, count_box=lambda d: {"item": d.choice(words.THINGS)}),
        tools=("count_box", "move_box"),
        chat=True,
    ),
    Template(
        "emotions",
        "Emotion of a diary line, in one word.\nLine: I slept through the storm.\nEmotion: calm\nLine: They never wrote back.\nEmotion: sad\nLine: We won by a single point!\nEmotion: joy\nLine: {line}\nEmotion:",
        {"line": words.sentence},
        choice("calm", "sad", "joy", "anger", "fear"),
        system=GENERIC,
        weight=1.5,
    ),
    Template(
        "units",
        "{measure}",
        {"measure": lambda draw: f"{draw.randint(1, 900)} {draw.choice(('feet', 'miles', 'pounds', 'acres'))} of {draw.choice(words.THINGS)}"},
        lambda d: f"{d.randint(1, 900)} {d.choice(('m', 'km', 'kg', 'ha'))}",
        system="Convert what you read to metric units.",
        shots=(("two inches of rain", "51 mm"), ("a stone of flour", "6.4 kg"), ("three yards of rope", "2.7 m")),
    ),
    Template(
        "slogans",
        "Find a slogan.\nBrand: {brand}\nTown: {town}\nAvoid: {avoid}\nNo more than seven words, and no puns.",
        {"brand": words.word, "town": lambda draw: draw.choice(words.PLACES), "avoid": lambda draw: f"{words.word(draw)}, {words.word(draw)}"},
        lambda d: " ".join(words.word(d) for _ in range(5)),
        optional=("avoid",),
        empty=("town",),
    ),
    Template(
        "tickets",
        "{ticket}",
        {"ticket": lambda draw: words.text(draw, 1, 4)},
        as_json(area=lambda d: d.choice(("login", "billing", "search")), urgent=lambda d: d.random() < 0.3, summary=words.sentence),
        system="Turn a ticket into JSON: area, urgent, summary.",
        schema={
            "type": "object",
            "properties": {"area": {"enum": ["login", "billing", "search"]}, "urgent": {"type": "boolean"}, "summary": {"type": "string"}},
            "required": ["area", "urgent", "summary"],
            "additionalProperties": False,
        },
        weight=1.5,
    ),
    Template(
        "comments",
        "Write a comment above this code that says what it is for, in one line.\n```\n{code}\n```\nComment:",
        {"code": words.code},
        prose(1, 1),
        loose=True,
    ),
    Template(
        "quiz",
        "Passage: {passage}\n\nMake {count} quiz questions from the passage, with answers.",
        {"passage": words.article, "count": lambda draw: str(draw.randint(2, 9))},
        prose(3, 6),
        system="It is {now}. You set quizzes for a school in {place}; each question has exactly one answer.",
        noise={"now": words.stamp, "place": lambda d: d.choice(words.PLACES)},
    ),
    Template(
        "plain",
        "Say the following in plain language for a reader of twelve years, and keep every number: {text} Do not add anything.",
        {"text": lambda draw: words.text(draw, 1, 3)},
        prose(1, 3),
        system="You are a careful and friendly AI assistant.",
    ),
)  # fmt: skip
