"""`tune --show-mask`: the very tokens that a run would see, and which of them carry a loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from journeyman.core.canonical import Json
from journeyman.flows.material import load_material, weigh_weak
from journeyman.flows.signals import Writer, make_writing
from journeyman.flows.student import Form
from journeyman.flows.workspace import Workspace
from journeyman.models.families import read_config
from journeyman.models.template import make_student_template
from journeyman.models.tokenizer import Tokenizer
from journeyman.tuning.batching import TuneRow
from journeyman.tuning.plan import make_plan


@dataclass(frozen=True, slots=True)
class MaskedToken:
    """``weight`` of the token's loss in its row; 0: read, not learned."""

    id: int
    text: str
    weight: float


@dataclass(frozen=True, slots=True)
class MaskedRow:
    """``source`` is the row's hash."""

    source: str
    tokens: tuple[MaskedToken, ...]

    @property
    def spans(self) -> list[tuple[float, str]]:
        """Runs of tokens with one weight, as text."""
        found: list[tuple[float, str]] = []
        for token in self.tokens:
            if found and found[-1][0] == token.weight:
                found[-1] = (token.weight, found[-1][1] + token.text)
            else:
                found.append((token.weight, token.text))
        return found

    def to_json(self) -> dict[str, Json]:
        return {"row": self.source, "tokens": [asdict(token) for token in self.tokens]}


def show_mask(
    workspace: Workspace,
    task_name: str,
    given: Mapping[str, Json],
    count: int,
    base: str = "",
    form: Form = "json",
    weak: float = 0.0,
) -> list[MaskedRow]:
    """The first ``count`` rows that plain tuning would see; no model is loaded.

    Raises:
        DataError: JM-352 nothing prepared, JM-363, JM-385 to JM-387 rows that cannot weigh more. TuneError: JM-501, JM-502, JM-505, JM-532, JM-546.
    """
    material = weigh_weak(workspace, load_material(workspace, task_name, base), weak)
    template = make_student_template(material.base.path)
    writing = make_writing(material.task, template.tokenizer, form)
    writer = Writer(material.task, template, read_config(material.base.path).context, writing)
    rows = writer.rows(material.splits["train"])
    plan = make_plan(rows, given)
    weight = plan.number("input_weight")
    return [MaskedRow(row.key, _mask(row, weight, template.tokenizer)) for row in rows[:count]]


def _mask(row: TuneRow, input_weight: float, tokenizer: Tokenizer) -> tuple[MaskedToken, ...]:
    first = replace(row, input_weight=input_weight).first_loss
    weights = [0.0] * first + [input_weight * row.weight] * (row.start - first) + [row.weight] * row.supervised
    return tuple(
        MaskedToken(token, _text(token, tokenizer), weight) for token, weight in zip(row.ids, weights, strict=True)
    )


def _text(token: int, tokenizer: Tokenizer) -> str:
    names = {number: text for text, number in tokenizer.special.items()}
    return names.get(token) or tokenizer.token_bytes(token).decode(errors="replace")
