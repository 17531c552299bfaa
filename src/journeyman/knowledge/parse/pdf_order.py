"""The order in which a page is read: what spans it, then column by column.

A recursive cut (Nagy and Seth's XY-cut) with one change: bands of text that share a white gutter are put together before they are cut into columns, so a
paragraph's end in one column does not part the other, and a title that stands close above two columns stays above both. A cut into columns
must leave running text on both sides: what has short cells is a table or a form, and is read row by row.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from statistics import median

from journeyman.knowledge.parse.pdf_rows import make_rows
from journeyman.knowledge.parse.pdf_words import Word

GUTTER = 0.9  # of the letters' size
SMALLEST_GUTTER = 6.0  # points
SLIM = 0.2  # of a word's height is cut off above and below, since fonts' boxes overlap
PROSE_CHARACTERS = 16  # in a line of a column of running text
PROSE_ROWS = 3
PARTED = 1.6  # of the size: words so far apart are cells
COLUMN = 0.2  # of the page's text's width, at least
MOST_STEPS = 20  # that each band is looked at; beyond, bands that share no gutter are passed over together
DEEPEST = 12
MOST_GUTTERS = 8  # the widest are tried
FAR = 1e7

Gap = tuple[float, float]


def order_words(words: Sequence[Word], depth: int = 0) -> list[list[Word]]:
    """Groups in reading order; the words of a group are read row by row."""
    if len(words) < 2 or depth > DEEPEST:
        return [list(words)] if words else []
    least = max(SMALLEST_GUTTER, GUTTER * median(word.size for word in words))
    cut = _find_gutter(words, least)
    if cut is not None:
        sides = [[word for word in words if word.right <= cut], [word for word in words if word.right > cut]]
        return [group for side in sides for group in order_words(side, depth + 1)]
    bands = _bands(words)
    if len(bands) == 1:
        return [list(words)]
    runs = _runs(bands, least)
    if len(runs) == 1:
        return [list(words)]
    groups: list[list[Word]] = []
    is_plain = False
    for run, has_columns in runs:
        if has_columns:
            groups.extend(order_words(run, depth + 1))
        elif is_plain:
            groups[-1].extend(run)
        else:
            groups.append(list(run))
        is_plain = not has_columns
    return groups


def free_gaps(words: Sequence[Word], least: float) -> list[Gap]:
    """The white intervals of the words' projection on the x axis, at least ``least`` wide, with those left and right of all."""
    gaps: list[Gap] = []
    reached = -FAR
    for word in sorted(words, key=lambda word: word.left):
        if word.left - reached >= least:
            gaps.append((reached, word.left))
        reached = max(reached, word.right)
    return [*gaps, (reached, FAR)]


def common_gaps(left: Sequence[Gap], right: Sequence[Gap], least: float) -> list[Gap]:
    """What is white in both, both ascending."""
    common: list[Gap] = []
    one = two = 0
    while one < len(left) and two < len(right):
        start, end = max(left[one][0], right[two][0]), min(left[one][1], right[two][1])
        if end - start >= least:
            common.append((start, end))
        if left[one][1] < right[two][1]:
            one += 1
        else:
            two += 1
    return common


def _find_gutter(words: Sequence[Word], least: float) -> float | None:
    """The middle of the widest gutter that has columns of running text on both sides."""
    inner = [gap for gap in free_gaps(words, least) if gap[0] > -FAR and gap[1] < FAR]
    inner = sorted(sorted(inner, key=lambda gap: gap[0] - gap[1])[:MOST_GUTTERS])
    middles = [(start + end) / 2 for start, end in inner]
    columns: list[list[Word]] = [[] for _ in range(len(middles) + 1)]
    for word in words:
        columns[bisect_left(middles, word.right)].append(word)
    rows = [_prose_rows(column) for column in columns]
    widths = {
        end - start: middle
        for (start, end), middle, left, right in zip(inner, middles, rows, rows[1:], strict=False)
        if min(left, right) > 0 and max(left, right) >= PROSE_ROWS
    }
    return widths[max(widths)] if widths else None


def _prose_rows(words: Sequence[Word]) -> int:
    """How many rows of running text these are; 0 where they are cells."""
    rows = make_rows(words)
    characters = median(sum(len(word.text) for word in row.words) for row in rows)
    parted = sum(1 for row in rows if len(free_gaps(row.words, PARTED * row.size)) > 2)
    return 0 if characters < PROSE_CHARACTERS or parted * 2 > len(rows) else len(rows)


def _bands(words: Sequence[Word]) -> list[list[Word]]:
    """Words parted by white that goes across all of them."""
    bands: list[list[Word]] = []
    reached = -FAR
    for word in sorted(words, key=lambda word: word.top + SLIM * word.height):
        if word.top + SLIM * word.height > reached:
            bands.append([])
        bands[-1].append(word)
        reached = max(reached, word.bottom - SLIM * word.height)
    return bands


def _runs(bands: Sequence[list[Word]], least: float) -> list[tuple[list[Word], bool]]:
    """Bands that share a gutter with running text on both sides, together; the others one by one."""
    left = min(word.left for band in bands for word in band)
    right = max(word.right for band in bands for word in band)
    gaps = [_inside(free_gaps(band, least), left, right, least) for band in bands]
    runs: list[tuple[list[Word], bool]] = []
    steps = MOST_STEPS * len(bands)
    first = 0
    while first < len(bands):
        common, last = gaps[first], first + 1
        while last < len(bands) and (fewer := common_gaps(common, gaps[last], least)):
            common, last = fewer, last + 1
        steps -= last - first
        start = _skip_one_sided(bands, first, last, common)
        run = [word for band in bands[start:last] for word in band]
        if common and _find_gutter(run, least) is not None:
            runs.extend((band, False) for band in bands[first:start])
            runs.append((run, True))
        else:
            last = first + 1 if steps > 0 else last
            runs.extend((band, False) for band in bands[first:last])
        first = last
    return runs


def _inside(gaps: Sequence[Gap], left: float, right: float, least: float) -> list[Gap]:
    """Gaps within the words' width; one at a side must leave room for a column there."""
    room = COLUMN * (right - left)
    cut = [(max(start, left), min(end, right)) for start, end in gaps]
    return [(start, end) for start, end in cut if end - start >= (room if start == left or end == right else least)]


def _skip_one_sided(bands: Sequence[list[Word]], first: int, last: int, common: Sequence[Gap]) -> int:
    """The first band that has words on both sides of a shared gutter: what stands above it comes before both columns anyway."""
    for number in range(first, last):
        for start, end in common:
            sides = {word.right <= start + 0.01 for word in bands[number]}
            if len(sides) == 2 and end > start:
                return number
    return first
