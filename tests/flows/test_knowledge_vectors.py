"""Settings that choose how near vectors are found, through real files, the real encoder and the real graph."""

from pathlib import Path

import pytest

from journeyman.core.errors import KnowledgeError
from journeyman.flows.knowledge import add, index_path, open_library, remove
from journeyman.flows.workspace import Workspace, open_workspace
from journeyman.knowledge.index.file import open_index
from journeyman.knowledge.index.graph import Graph
from journeyman.knowledge.retrieve.recipe import Recipe

TEXTS = {
    "boiler": "The boiler in the cellar is serviced every spring.",
    "returns": "Goods may be sent back within thirty days.",
    "hours": "We are open from nine to five.",
    "parcels": "The customer pays for the parcel.",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "journeyman.toml").write_text("[knowledge]\nvectors = 'usearch'\napproximate_from = 3\n")
    for name, text in TEXTS.items():
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    return tmp_path


def find(workspace: Workspace, question: str) -> list[str]:
    with open_library(workspace) as library:
        names = {item.id: item.origin.name for item in library.index.documents()}
        return [names[item.piece.document] for item in library.find(question, Recipe(ranker="dense"))]


def known(workspace: Workspace) -> int:
    with open_index(index_path(workspace)) as index:
        return Graph(index).renew()


@pytest.mark.model
def test_the_graph_is_made_when_there_are_enough_chunks_and_follows(project: Path) -> None:
    pytest.importorskip("usearch", reason="the extra ann is not installed")
    files = [str(project / f"{name}.txt") for name in TEXTS]
    with open_workspace(project) as workspace:
        add(workspace, files[:2])
        assert known(workspace) == 0, "so few are all compared"
        assert find(workspace, "when is the heating serviced?") == ["boiler.txt", "returns.txt"]
        add(workspace, files)
        assert known(workspace) == 4
        assert find(workspace, "when is the shop open?")[0] == "hours.txt"
        assert len(find(workspace, "when is the shop open?")) == 4
        remove(workspace, files[:1])
        assert find(workspace, "when is the heating serviced?")[-1] != "boiler.txt"
        assert len(find(workspace, "parcel")) == 3
        add(workspace, files, is_anew=True)
        assert len(list(index_path(workspace).parent.glob("documents.graph-*"))) == 2, "a file and a lock"
        assert find(workspace, "who pays for the parcel?")[0] == "parcels.txt"


def test_pgvector_without_an_address_says_what_to_set(project: Path) -> None:
    (project / "journeyman.toml").write_text("[knowledge]\nvectors = 'pgvector'\n")
    with open_workspace(project) as workspace:
        open_index(index_path(workspace), is_writer=True).close()
        with pytest.raises(KnowledgeError, match="JM-947") as caught, open_library(workspace):
            pass
        assert "postgres_url" in str(caught.value)
