"""Domain names in running text: ``shop.example.co.uk``, the host of a web address, but no file names and no words that a missing space ties together.

``//`` or ``www.`` before it      any ending of letters
otherwise                         an ending that is a top-level domain; one that is also a word only after a word such as website,
                                  a country's that is a word also where no further word follows
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from journeyman.guards.starts import Clues, before, matches

Span = tuple[int, int]
REACH = 63  # the longest label
DOT = re.compile(r"\.(?=\w)")
FIRST = re.compile(r"(?<![\w@.\\-])(?<![^/]/)\w")
RUN = re.compile(r"(?<![\w@.\\-])(?<![^/]/)\w[\w-]{0,62}(?:\.[\w-]{1,63}){1,8}(?![\w-])")
CUE = re.compile(
    r"(?<!\w)(?:(?:web)?site|web|domain(?: name)?|url|host(?:name)?|server|home ?page|visit|www)[:= \"'(]{1,3}(?:is )?\Z",
    re.I,
)
CUE_REACH = 18
WORD_BEHIND = re.compile(r" {1,2}[A-Za-z]")
CODE_BEHIND = re.compile(r"[(\[={]| [=!<>]?=")
PLAIN_ENDING = re.compile(r"[^\W\d_]{2,24}|xn--[a-z0-9-]{2,59}")
# Endings by what else they may be. Country codes are those of ISO 3166 that are delegated.
TOP_LEVEL = (
    "com org net edu gov mil info biz mobi xyz asia aero coop museum"
    " ad ae af ag ai al ao aq ar au aw ax az ba bb bd bf bg bh bi bj bm bn bo br bs bt bw bz ca cd cf cg ch ci ck cl cm cn"
    " co cr cu cv cw cx cy cz de dj dk dm dz ec ee eg er es eu fi fj fk fm fo fr ga gd ge gf gg gh gi gl gm gn gp gq gr"
    " gt gu gw gy hk hn hr ht hu ie io iq ir je jm jo jp ke kg kh ki km kn kp kr kw ky kz lb lc li lk lr ls lt lu lv ly mc"
    " mg mh mk mm mn mo mp mq mt mv mw mx mz nc nf ng ni nl np nr nu nz pe pf pg ph pk pn pr pt pw qa ro ru rw sb sc sd"
    " se sg sj sk sl sm sn sr ss su sv sx sy sz tc td tf tg th tj tk tl tm tn tr tt tv tw tz ua ug uk uy uz vc ve vg vi vn vu"
    " wf ws ye yt za zm zw"
)
COUNTRY_WORDS = "am as at be bar by do et gs hm id il im in is it la ma me ms mr mu my na ne no om pa pl pm re sa si so st to us va vs"
PLAIN_WORDS = (
    "name pro post travel jobs cat page today news live life world space top club fun art link click win host press email media"
    " design shop store site cloud blog app tech digital agency studio team zone guru expert business company center care"
    " network solutions services support tools work works wiki games chat social software systems tel int dev online website"
)
ENDINGS, WORDS, TOLD_WORDS = (frozenset(text.split()) for text in (TOP_LEVEL, COUNTRY_WORDS, PLAIN_WORDS))
LOUD = frozenset({"com", "org", "edu", "gov"})  # written in capitals, .NET is no ending


def find_domain(clues: Clues) -> Iterator[Span]:
    text = clues.text
    dots = (match.start() for match in DOT.finditer(text))
    for match in matches(RUN, text, before(text, dots, REACH, FIRST)):
        yield from read_run(text, match)


def read_run(text: str, match: re.Match[str]) -> Iterator[Span]:
    """The domain name that what ``RUN`` matched begins with; none if there is none."""
    start, parts = match.start(), match.group().split(".")
    is_sure = text[max(0, start - 2) : start] == "//" or parts[0].lower() == "www"
    while len(parts) > 1:
        ending = parts[-1] if parts[-1].startswith("xn--") else parts[-1].partition("-")[0]
        names, length = parts[:-1], sum(map(len, parts[:-1])) + len(parts) - 1 + len(ending)
        if _is_domain(text, start, start + length, names, ending, is_sure):
            yield start, start + length
            return
        if not parts[-1][0].isupper():
            return
        del parts[-1]  # the next sentence, without a space before it


def _is_domain(text: str, start: int, end: int, names: list[str], ending: str, is_sure: bool) -> bool:
    if not PLAIN_ENDING.fullmatch(ending.lower()) or not any(map(str.isalpha, names[-1])):
        return False
    if is_sure:
        return len(names) > 1 or names[0].lower() != "www"
    if len(names[-1]) < 2 and text[end : end + 1] != "/":
        return False
    if not ending.islower():
        return ending.isupper() and ending.lower() in LOUD
    if CODE_BEHIND.match(text, end):
        return False
    if ending in ENDINGS or ending.startswith("xn--"):
        return True
    if ending in WORDS and not WORD_BEHIND.match(text, end):
        return True
    return (ending in WORDS or ending in TOLD_WORDS) and CUE.search(text, max(0, start - CUE_REACH), start) is not None
