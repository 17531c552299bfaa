"""A formula of Office as one line of text: ``a/b``, ``x^2``, ``√(x)``."""

from __future__ import annotations

from xml.etree.ElementTree import Element

M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
APPLIED = "\u2061"  # Office writes it between a function and its argument; nobody sees it
FORMS = {"f": ("num", "/", "den"), "sSup": ("e", "^", "sup"), "sSub": ("e", "_", "sub"), "func": ("fName", " ", "e")}


def write_math(element: Element) -> str:
    """The text of ``<m:oMath>`` and what is in it."""
    name = element.tag.removeprefix(M)
    if name == "t":
        return (element.text or "").replace(APPLIED, "")
    if name in FORMS:
        left, between, right = FORMS[name]
        return _part(element, left) + between + _part(element, right)
    if name == "rad":
        return f"√({_part(element, 'e')})"
    if name == "d":
        return "(" + ", ".join(write_math(child) for child in element.findall(M + "e")) + ")"
    return "".join(write_math(child) for child in element)


def _part(element: Element, name: str) -> str:
    part = element.find(M + name)
    text = "" if part is None else "".join(write_math(child) for child in part)
    return f"({text})" if len(text) > 1 and not text.isalnum() else text
