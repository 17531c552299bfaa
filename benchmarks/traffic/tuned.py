"""The twenty templates that the mining was made with."""

from __future__ import annotations

from traffic import words
from traffic.template import GENERIC, Template, as_json, calling, choice, prose

POLICY = """You moderate the forum of a hiking club. The rules are these. Posts are about walks, huts, maps and gear. Selling is allowed in the market corner alone.
Nobody is called names. Pictures of other people need their consent. Routes through closed reserves are not described. Weather
warnings are passed on with their source. Posts in capitals are edited by hand. Old posts are not brought up again without news."""

TEMPLATES = (
    Template(
        "triage",
        "{message}",
        {"message": lambda draw: words.text(draw, 1, 4)},
        choice("refund", "repair", "delivery", "other"),
        system="Sort a message to the shop into one of: refund, repair, delivery, other. Reply with the word alone.",
        weight=3,
    ),
    Template(
        "orders",
        "Extract the order from the e-mail as JSON with the keys item, quantity and city.\n\nEmail:\n{email}",
        {"email": words.email},
        as_json(item=lambda d: d.choice(words.THINGS), quantity=lambda d: d.randint(1, 9), city=lambda d: d.choice(words.PLACES)),
        weight=2,
    ),
    Template(
        "formal",
        "Rewrite the text below so that it can go to a public office. Use full sentences and a formal tone. Keep all facts.\n\nText: {text}",
        {"text": lambda draw: words.text(draw, 1, 5)},
        prose(),
        system=GENERIC,
    ),
    Template(
        "casual",
        "Rewrite the text below so that it can go to a public office. Make it sound like a chat between old friends. Keep all facts.\n\nText: {text}",
        {"text": lambda draw: words.text(draw, 1, 5)},
        prose(),
        system=GENERIC,
    ),
    Template(
        "summary",
        "{article}\n\nSummarize the article above in two plain sentences for a newsletter.",
        {"article": words.article},
        prose(2, 2),
        weight=1.5,
    ),
    Template(
        "passages",
        "Context:\n{context}\n\nQuestion: {question}\nAnswer:",
        {"context": words.article, "question": words.question},
        prose(1, 1),
        system="Answer the question from the context alone. Where the context does not say, write: not stated.",
        weight=2,
    ),
    Template(
        "support",
        "{message}",
        {"message": lambda draw: words.text(draw, 1, 3)},
        prose(1, 4),
        system="You are the support desk of Larkfield Outdoor, a mail-order shop for tents and boots. Today is {day}. You speak with {customer}. Be kind, be short, and never promise a refund.",
        noise={"day": lambda draw: words.stamp(draw)[:10], "customer": words.person},
        chat=True,
        weight=2.5,
    ),
    Template(
        "home",
        "{wish}",
        {"wish": lambda draw: words.text(draw, 1, 1)},
        calling(set_heat=lambda d: {"degrees": d.randint(15, 25)}, set_light=lambda d: {"room": d.choice(words.PLACES)}),
        system=GENERIC,
        tools=("set_heat", "set_light"),
    ),
    Template(
        "travel",
        "{wish}",
        {"wish": lambda draw: words.text(draw, 1, 2)},
        calling(find_train=lambda d: {"to": d.choice(words.PLACES), "seats": d.randint(1, 4)}),
        system=GENERIC,
        tools=("find_train",),
    ),
    Template(
        "sentiment",
        "Decide whether a review is positive, negative or mixed.\n\nReview: Great boots, dry feet.\nSentiment: positive\n\nReview: The zip broke twice.\nSentiment: negative\n\nReview: {review}\nSentiment:",
        {"review": lambda draw: words.text(draw, 1, 3)},
        choice("positive", "negative", "mixed"),
        weight=2,
    ),
    Template(
        "genre",
        "{line}",
        {"line": lambda draw: words.text(draw, 1, 2)},
        choice("crime", "romance", "travel", "history"),
        system="Name the genre of a book from its first line.",
        shots=(("The night the bridge fell, nobody slept.", "crime"), ("They met on the ferry to Hvar.", "romance")),
    ),
    Template(
        "translate",
        "Translate from {source} to {target}, keep names as they are:\n\n{text}",
        {
            "source": lambda draw: draw.choice(("English", "Dutch", "Czech", "Danish")),
            "target": lambda draw: draw.choice(("Polish", "Greek", "Irish", "Basque", "Welsh")),
            "text": lambda draw: words.text(draw, 1, 4),
        },
        prose(1, 4),
        weight=1.5,
    ),
    Template(
        "queries",
        "Tables:\n{tables}\n\nQuestion: {question}",
        {"tables": words.table, "question": words.question},
        lambda d: f"select {words.word(d)} from {words.word(d)} where {words.word(d)} = {d.randint(1, 99)}",
        system="You write one SQL query for PostgreSQL that answers the question. Use only the tables given. Write the query and nothing else.",
        later="You write one SQL query for PostgreSQL 17 that answers the question. Use only the tables given below. Write the query and nothing else.",
        weight=1.5,
    ),
    Template(
        "rules",
        "{post}",
        {"post": lambda draw: words.text(draw, 1, 4)},
        choice("yes", "no"),
        system=f"{POLICY} Say whether the post keeps the rules: yes or no.",
    ),
    Template(
        "mend",
        "{post}",
        {"post": lambda draw: words.text(draw, 1, 4)},
        prose(1, 4),
        system=f"{POLICY} Write the post again so that it keeps the rules, and change nothing else.",
    ),
    Template(
        "products",
        "Write a shop text of about eighty words.\nProduct: {product}\nFeatures: {features}\nAudience: {audience}\nThe text has no exclamation marks and no prices.",
        {"product": words.product, "features": words.features, "audience": lambda draw: f"people in {draw.choice(words.PLACES)} {draw.choice(words.WHEN)}"},
        prose(3, 5),
        optional=("audience",),
        weight=1.5,
    ),
    Template(
        "people",
        "{letter}",
        {"letter": words.email},
        as_json(name=words.person, city=lambda d: d.choice(words.PLACES), years=lambda d: d.randint(0, 40)),
        system="Read a letter of application. Return the applicant's name, city and years of experience.",
        schema={
            "type": "object",
            "properties": {"name": {"type": "string"}, "city": {"type": "string"}, "years": {"type": "integer"}},
            "required": ["name", "city", "years"],
            "additionalProperties": False,
        },
    ),
    Template(
        "review",
        "Find defects in this function. List each with its line, or write: none found.\n\n```python\n{code}\n```",
        {"code": words.code},
        prose(1, 3),
        system=GENERIC,
        loose=True,
    ),
    Template(
        "titles",
        "Draft: {draft}\n\nKeywords: {keywords}\n\nTitle:",
        {"draft": lambda draw: words.text(draw, 2, 6), "keywords": lambda draw: " ".join(words.word(draw) for _ in range(3))},
        lambda d: " ".join(words.word(d) for _ in range(4)).capitalize(),
        system="Current time: {now}. Request {id}. You find a title for a draft, at most eight words, without a colon.",
        noise={"now": words.stamp, "id": lambda d: f"{d.getrandbits(64):016x}"},
        empty=("keywords",),
    ),
    Template(
        "replies",
        "From: {sender}\nSubject: {subject}\nBody:\n{body}",
        {"sender": words.person, "subject": lambda draw: " ".join(words.word(draw) for _ in range(3)), "body": words.email},
        prose(2, 4),
        system="You draft replies to the mail of {agent}, who books rooms at the Harbour Hostel. Offer dates, ask for the number of guests, sign with the first name.",
        noise={"agent": words.person},
    ),
)  # fmt: skip
