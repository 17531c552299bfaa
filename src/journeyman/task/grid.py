"""Grid files: the axes whose product `compare` evaluates on dev, edition 1. What the file says is checked here once, with file and line.

Knows nothing about models: whether a name can be found is known when they are looked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from journeyman.core.errors import GateError, TaskError
from journeyman.task.document import Document, Place, load_document
from journeyman.task.file import FIELD_NAME

HINT = "see `journeyman compare --help` for an example of a grid file"
MOST_SHOTS = 32


def _own() -> dict[str, str | None]:
    return {"own": None}


class GridFile(BaseModel):
    """Axes are lists; what is left out has one value."""

    model_config = ConfigDict(extra="forbid", strict=True)

    edition: Literal[1]
    instruction: dict[Annotated[str, Field(pattern=FIELD_NAME)], Annotated[str, Field(pattern=r"\S")] | None] = Field(
        default_factory=_own, min_length=1
    )
    model: list[Annotated[str, Field(pattern=r"\S")]] = Field(default_factory=lambda: ["base"], min_length=1)
    shots: list[Annotated[int, Field(ge=0, le=MOST_SHOTS)]] = Field(default_factory=lambda: [0], min_length=1)
    temperature: list[Annotated[float, Field(ge=0, le=2)]] = Field(default_factory=lambda: [0.0], min_length=1)
    rows: Annotated[int, Field(ge=2)] = 100
    most_calls: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True, slots=True)
class Grid:
    """The axes, each value once. ``instruction`` maps a name to a text, None being the task's own; ``most_calls`` of models that are paid for; ``name``
    and ``lines`` say where each model stands in the file."""

    instruction: Mapping[str, str | None]
    model: tuple[str, ...]
    shots: tuple[int, ...]
    temperature: tuple[float, ...]
    rows: int
    most_calls: int
    name: str = ""
    lines: Mapping[str, str] | None = None

    def where(self, model: str) -> str:
        """``file:line`` of a model's name."""
        return (self.lines or {}).get(model, self.name)


def load_grid(path: Path) -> Grid:
    """Read and check a grid file.

    Raises:
        GateError: JM-660 not readable or not YAML, JM-661 an unknown key or a wrong value, with file and line.
    """
    try:
        document = load_document(path)
    except TaskError as error:
        raise GateError(
            "JM-660",
            error.what.replace("task file", "grid file"),
            where=error.where,
            expected="a grid file in plain YAML",
            got=error.got,
            hint=HINT,
        ) from None
    try:
        file = GridFile.model_validate(document.value)
    except ValidationError as error:
        raise _first_error(error, document) from None
    return Grid(
        instruction=file.instruction,
        model=tuple(dict.fromkeys(file.model)),
        shots=tuple(dict.fromkeys(file.shots)),
        temperature=tuple(dict.fromkeys(file.temperature)),
        rows=file.rows,
        most_calls=file.most_calls,
        name=document.name,
        lines={model: document.where(("model", place)) for place, model in enumerate(file.model)},
    )


def _first_error(error: ValidationError, document: Document) -> GateError:
    """The first complaint, unknown keys first, since a misspelt key also makes one missing."""
    detail = sorted(error.errors(), key=lambda item: item["type"] != "extra_forbidden")[0]
    path: Place = detail["loc"]
    key = ".".join(str(step) for step in path if step != "[key]")
    if detail["type"] == "extra_forbidden":
        near = get_close_matches(key, GridFile.model_fields, 1)
        return GateError(
            "JM-661",
            f"a grid has no axis or setting {key}",
            where=document.where(path),
            expected=", ".join(GridFile.model_fields),
            hint=f"did you mean {near[0]}?" if near else f"remove {key}",
        )
    is_missing = detail["type"] == "missing"
    return GateError(
        "JM-661",
        f"the key {key} is missing" if is_missing else f"the value of {key} is wrong" if key else "a grid is a mapping",
        where=document.where(path),
        expected=detail["msg"].replace("Input should be ", "").replace("Field required", f"{key}: 1"),
        got="" if is_missing else f"{detail['input']!r:.120}",
        hint=HINT,
    )
