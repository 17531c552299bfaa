"""The metrics of a task that need more than two answers: an embedding model, what a call costs, or the passages that it was answered from.

The embedding model is the one that heads read (`models.embedder`). A call to this machine costs its time, as on the ladder; one to the teacher its tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np

from journeyman.core.canonical import Json, content_hash
from journeyman.core.errors import GateError, ModelError
from journeyman.core.progress import Progress
from journeyman.flows.costs import Prices
from journeyman.flows.upstream import find_upstream
from journeyman.flows.workspace import Workspace
from journeyman.measure.calls import make_call_metric
from journeyman.measure.declared import find_metric
from journeyman.measure.embedded import Texts, make_embedding_metric
from journeyman.measure.metrics import Metric
from journeyman.models.catalog import find_entry
from journeyman.models.embedder import DEFAULT, Embedder, Floats, open_embedder
from journeyman.models.long_texts import embed_whole
from journeyman.task.task import CALL_KEYS, MetricSpec, Task


class Measures:
    """Those of one task, for one command: a text is embedded once."""

    def __init__(self, workspace: Workspace, task: Task, progress: Progress | None = None) -> None:
        self.workspace, self.task, self.progress = workspace, task, progress
        self._embedder: Embedder | None = None
        self._vectors: dict[str, Floats] = {}

    @property
    def metrics(self) -> dict[str, Metric]:
        """For `measure.declared.metrics_of`; nothing is loaded before something is scored."""
        prices = Prices.read(self.workspace, self.task)
        made: dict[str, Metric] = {}
        for name, spec in self.task.metrics.items():
            if spec.kind == "embedding":
                made[name] = make_embedding_metric(name, spec.field, self.similarities)
            elif spec.kind == "cost":
                made[name] = make_call_metric(name, prices.usd, cast(float, spec.most_usd))
        if self.task.knowledge is not None:
            from journeyman.knowledge.ground.metrics import make_metrics

            made |= make_metrics(self.task.knowledge)
        return made

    def refuse_missing(self, is_teacher_asked: bool = False) -> None:
        """Before anything is asked. The embedding model stays open.

        Raises:
            GateError: JM-690 a metric's embedding model cannot be used, JM-691 a metric's price is not stated.
        """
        for name, spec in self.task.metrics.items():
            if spec.kind == "embedding":
                self._open(name)
            elif spec.kind == "cost":
                self._refuse_unpriced(name, is_teacher_asked)

    def similarities(self, pairs: Sequence[Texts]) -> list[float]:
        """Cosines, not below 0. Raises: ModelError: JM-401, JM-403, JM-438 of the embedding model."""
        self._embedder = self._embedder or open_embedder()
        new = [text for text in dict.fromkeys(text for pair in pairs for text in pair) if text not in self._vectors]
        if new:
            self._vectors |= dict(zip(new, embed_whole(self._embedder, new, self.progress), strict=True))
        cosines = [float(np.dot(self._vectors[one], self._vectors[other])) for one, other in pairs]
        return [
            min(1.0, max(0.0, round(cosine, 6))) for cosine in cosines
        ]  # a vector beside itself: 1, whatever float32 makes of it

    def _open(self, name: str) -> None:
        try:
            self._embedder = self._embedder or open_embedder()
        except ModelError as error:
            raise GateError(
                "JM-690",
                f"the metric {name} compares embeddings, and their model cannot be used: {error.what}",
                where=f"task {self.task.name}, {error.where}",
                expected=error.expected,
                got=error.got,
                hint=error.hint,
            ) from error

    def _refuse_unpriced(self, name: str, is_teacher_asked: bool) -> None:
        wanted = [("serve", "machine_usd_per_hour")]
        if is_teacher_asked and find_upstream(self.workspace.project, self.task).price is None:
            wanted += [("teacher", "input_usd_per_million"), ("teacher", "output_usd_per_million")]
        missing = [(section, key) for section, key in wanted if self.workspace.project.number(section, key) is None]
        if missing:
            section, key = missing[0]
            raise GateError(
                "JM-691",
                f"the metric {name} asks what a call costs, and {section}.{key} is not set",
                where=f"task {self.task.name}",
                expected=" and ".join(f"{section}.{key}" for section, key in wanted) + " in journeyman.toml",
                got="no " + ", no ".join(f"{section}.{key}" for section, key in missing),
                hint=f"set {key} under [{section}] in journeyman.toml, in US dollars",
            )


def find_gate_metric(workspace: Workspace, task: Task) -> Metric:
    """The gate's metric, which is no judge.

    Raises:
        GateError: JM-610 no such metric, JM-690, JM-691.
    """
    measures = Measures(workspace, task)
    measures.refuse_missing()
    return find_metric(task, task.gate.metric, workspace.project.root, measures.metrics)


def describe_measure(workspace: Workspace, spec: MetricSpec) -> dict[str, Json]:
    """What such a metric's scores depend on besides its description: another one of these is another rule. Empty for other kinds."""
    if spec.kind == "embedding":
        entry = find_entry(DEFAULT, use="embedding")
        return {"encoder": content_hash([entry.sha256, *(other.sha256 for other in entry.beside)])}
    if spec.kind == "cost":
        return {"usd_per_hour": Prices.read(workspace).hour}
    return {}


def of_answers(task: Task, metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    """Those that are about an answer, and not about what it took: of a recorded one that is not known."""
    kinds = {name: spec.kind for name, spec in task.metrics.items()}
    return {name: metric for name, metric in metrics.items() if kinds.get(name) not in CALL_KEYS}
