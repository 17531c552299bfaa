"""HTML that would cost a parser more than linear time, without what makes it so.

Nearly all pages pass as they are. What nests deeper than ``DEEPEST``, opens many formatting elements at once or has tags of enormous length is written anew: such tags
become line breaks, or go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

DEEPEST = 300
MOST_FORMATTING = 20
LONGEST_TAG = 20_000
MOST_ATTRIBUTES = 500


def names_of(text: str) -> frozenset[str]:
    return frozenset(text.split())


FORMATTING = names_of("b big code em font i nobr s small strike strong tt u span option optgroup select")
VOID = names_of("area base br col embed hr img input link meta param source track wbr")
ENDS_BY_ITSELF = names_of("p li dt dd tr td th tbody thead tfoot")
RAW = names_of("script style textarea title xmp iframe noembed noframes")
STEP = re.compile(r"<!--|<(/?)([a-zA-Z][^\s/>]{0,99})")
TAG_END = re.compile(r"(?:[^>=]++|=\s*+(?:\"[^\"]*+\"|'[^']*+')?+)*+>")
COMMENT_END = re.compile(r"--!?>")


def tame(html: str) -> tuple[str, bool]:
    """The page, and whether it had to be changed."""
    if not _is_wild(html):
        return html, False
    return "".join(_rewrite(html)), True


def _is_wild(html: str) -> bool:
    depth = formatting = 0
    for step in STEP.finditer(html):
        name = (step[2] or "").lower()
        if not name or name in VOID or name in ENDS_BY_ITSELF:
            continue
        change = -1 if step[1] else 1
        depth = max(0, depth + change)
        if name in FORMATTING and name != "span":
            formatting = max(0, formatting + change)
        if depth > DEEPEST or formatting > MOST_FORMATTING:
            return True
    return any(end - start > LONGEST_TAG for start, end in _find_long_tags(html))


def _find_long_tags(html: str) -> Iterator[tuple[int, int]]:
    """Stretches between ``<`` and ``>`` that could hold very many attributes."""
    position = 0
    while (start := html.find("<", position)) >= 0:
        end = html.find(">", start)
        end = len(html) if end < 0 else end
        if end - start > LONGEST_TAG and html.count("=", start, end) + html.count(" ", start, end) > MOST_ATTRIBUTES:
            yield start, end
        position = end + 1


def _rewrite(html: str) -> Iterator[str]:
    """The page without formatting elements, long lists of attributes, comments, raw text, and what is too deep."""
    open_tags: dict[str, int] = {}
    dropped: dict[str, int] = {}
    depth = position = 0
    while step := STEP.search(html, position):
        yield html[position : step.start()]
        if step[2] is None:
            end = COMMENT_END.search(html, step.end())
            position = end.end() if end else len(html)
            continue
        closed = TAG_END.match(html, step.end())
        if closed is None:
            return
        position = closed.end()
        name = step[2].lower()
        if name in FORMATTING:
            continue
        if name in RAW and not step[1]:
            end = re.compile(rf"</{re.escape(name)}[^>]*>", re.IGNORECASE).search(html, position)
            position = end.end() if end else len(html)
            continue
        tag = html[step.start() : position]
        if len(tag) > LONGEST_TAG:
            tag = f"<{step[1]}{name}>"
        if name in VOID or name in ENDS_BY_ITSELF:
            yield tag
        elif step[1]:
            if dropped.get(name):
                dropped[name] -= 1
                yield "<br>"
            elif open_tags.get(name):
                open_tags[name] -= 1
                depth -= 1
                yield tag
        elif depth >= DEEPEST:
            dropped[name] = dropped.get(name, 0) + 1
            yield "<br>"
        else:
            open_tags[name] = open_tags.get(name, 0) + 1
            depth += 1
            yield tag
    yield html[position:]
