"""Where the source makes errors: every ``SomeError("JM-nnn", what, hint=...)``, read from the syntax tree.

A helper that takes the code, the sentence or the hint as a parameter is followed to its callers in the same module; a
table ``{"JM-nnn": (what, hint)}`` is read as it stands. Nothing of the package is imported.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

CODE = re.compile(r"JM-\d{3}")
LAST_RESORT = re.compile(r"(JM-\d{3}) (.+)", re.DOTALL)
FAMILIES = [
    "SettingsError",
    "TaskError",
    "DataError",
    "ModelError",
    "TuneError",
    "GateError",
    "ServeError",
    "StoreError",
    "KnowledgeError",
]

Function = ast.FunctionDef | ast.AsyncFunctionDef
Values = Mapping[str, ast.expr]


@dataclass(frozen=True, slots=True)
class Site:
    """One way to meet a code. ``template`` is the sentence before a helper's parameters are filled in."""

    code: str
    kind: str
    what: str
    got: str
    hint: str
    template: str
    module: str
    line: int


def find_sites(source: Path) -> list[Site]:
    """All sites below ``source``, by code, then module and line."""
    sites: list[Site] = []
    for path in sorted(source.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        sites.extend(_Module(path.relative_to(source).as_posix(), tree).sites())
    return sorted(sites, key=lambda site: (site.code, site.module, site.line))


class _Module:
    """One parsed file, with the function that each call stands in."""

    def __init__(self, name: str, tree: ast.Module) -> None:
        self.name = name
        self.tree = tree
        self.calls: list[tuple[ast.Call, Function | None]] = list(_calls(tree, None))

    def sites(self) -> Iterator[Site]:
        for call, function in self.calls:
            if _callee(call).endswith("Error") and (call.args or call.keywords):
                yield from self._expand(call, function)
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Dict):
                yield from self._table(node)
            elif isinstance(node, ast.Constant) and (match := LAST_RESORT.fullmatch(str(node.value).strip())):
                yield self._make(match[1], "", match[2], "", "", match[2], node)

    def _expand(self, call: ast.Call, function: Function | None) -> Iterator[Site]:
        parts = _parts(call)
        if "code" not in parts:
            return
        template = _text(parts.get("what"), {})
        for values in self._bindings(parts, function, 0):
            filled = {name: _text(part, values) for name, part in parts.items()}
            for code in _codes(parts["code"], values):
                yield self._make(
                    code,
                    _callee(call),
                    filled.get("what", ""),
                    filled.get("got", ""),
                    filled.get("hint", ""),
                    template,
                    call,
                )

    def _bindings(self, parts: Values, function: Function | None, depth: int) -> Iterator[Values]:
        """Values of the parameters that ``parts`` use: one mapping for each caller, or one empty mapping."""
        names = {node.id for part in parts.values() for node in ast.walk(part) if isinstance(node, ast.Name)}
        used = names & set(_parameters(function)) if function else set()
        callers = [(call, outer) for call, outer in self.calls if function and _callee(call) == function.name]
        if not used or not callers or function is None or depth > 2:
            yield {}
            return
        for call, outer in callers:
            given = _bound(call, function)
            for above in self._bindings(given, outer, depth + 1):
                yield {name: _filled(part, above) for name, part in given.items()}

    def _table(self, node: ast.Dict) -> Iterator[Site]:
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and CODE.fullmatch(str(key.value)) and isinstance(value, ast.Tuple):
                what, hint = (_text(part, {}) for part in value.elts)
                yield self._make(str(key.value), "", what, "", hint, what, key)

    def _make(self, code: str, kind: str, what: str, got: str, hint: str, template: str, node: ast.expr) -> Site:
        known = kind if kind in FAMILIES else family_of(code)
        return Site(code, known, what, got, hint, template, self.name, node.lineno)


def duplicates(sites: list[Site]) -> dict[str, dict[str, str]]:
    """Codes that stand for more than one sentence: code -> sentence -> the first place that says it."""
    said: dict[str, dict[str, str]] = {}
    for site in sites:
        if not re.fullmatch(r"\{\w+\}", site.template):
            said.setdefault(site.code, {}).setdefault(site.template, f"{site.module}:{site.line}")
    return {code: sentences for code, sentences in said.items() if len(sentences) > 1}


def family_of(code: str) -> str:
    """The class that a code's first digit names; a defect of ours has none."""
    digit = int(code[3])
    return FAMILIES[digit - 1] if 1 <= digit <= len(FAMILIES) else "a defect"


def _calls(node: ast.AST, function: Function | None) -> Iterator[tuple[ast.Call, Function | None]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield child, function
        yield from _calls(child, child if isinstance(child, Function) else function)


def _callee(call: ast.Call) -> str:
    if isinstance(call.func, ast.Name):
        return call.func.id
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _parts(call: ast.Call) -> dict[str, ast.expr]:
    """``code``, ``what`` and the named parts of an error's call."""
    parts = dict(zip(("code", "what"), call.args, strict=False))
    return parts | {word.arg: word.value for word in call.keywords if word.arg in ("code", "what", "got", "hint")}


def _parameters(function: Function) -> list[str]:
    arguments = function.args
    names = [item.arg for item in (*arguments.posonlyargs, *arguments.args)]
    return (names[1:] if names[:1] in (["self"], ["cls"]) else names) + [item.arg for item in arguments.kwonlyargs]


def _bound(call: ast.Call, function: Function) -> dict[str, ast.expr]:
    """Parameter -> expression of this call, defaults included."""
    positional = [item.arg for item in (*function.args.posonlyargs, *function.args.args)]
    defaults = dict(zip(reversed(positional), reversed(function.args.defaults), strict=False))
    words = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    defaults |= {item.arg: value for item, value in words if value is not None}
    given = dict(zip(_parameters(function), call.args, strict=False))
    return defaults | given | {word.arg: word.value for word in call.keywords if word.arg}


def _filled(part: ast.expr, values: Values) -> ast.expr:
    return values.get(part.id, part) if isinstance(part, ast.Name) else part


def _codes(part: ast.expr, values: Values) -> list[str]:
    found = [node.value for node in ast.walk(_filled(part, values)) if isinstance(node, ast.Constant)]
    return [str(value) for value in found if CODE.fullmatch(str(value))]


def _text(part: ast.expr | None, values: Values) -> str:
    """The sentence as a reader meets it; what is only known at run time stands as ``{name}`` or an ellipsis."""
    match _filled(part, values) if part else None:
        case None:
            return ""
        case ast.Constant(value=value):
            return str(value or "")
        case ast.JoinedStr(values=pieces):
            return "".join(_text(piece, values) for piece in pieces)
        case ast.FormattedValue(value=value):
            filled = _filled(value, values)
            return (_text(filled, values) if isinstance(filled, ast.Constant) else "") or _name(value)
        case ast.IfExp(body=body, orelse=orelse):
            return " / ".join(text for text in (_text(body, values), _text(orelse, values)) if text)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _text(left, values) + _text(right, values)
        case other:
            return _name(other)


def _name(part: ast.expr) -> str:
    if isinstance(part, ast.Name):
        return f"{{{part.id}}}"
    return f"{{{part.attr}}}" if isinstance(part, ast.Attribute) else "…"
