"""Files into a collection of Chroma, or questions to it; runs in the rival's environment. Job: {"do": "add" or "search", "documents", "index", "model", "words", "questions", "sentence"}.

As its documentation has it: a persistent client, the default embedding function (ONNX, batches of 32, each text padded to 256 tokens), all chunks handed to `add` in the largest pieces that the client takes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import chromadb
from chromadb.config import Settings
from chromadb.utils.embedding_functions.onnx_mini_lm_l6_v2 import ONNXMiniLM_L6_V2
from pieces import cut, read

NAME = "documents"


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    ONNXMiniLM_L6_V2.DOWNLOAD_PATH = Path(job["model"])
    client = chromadb.PersistentClient(job["index"], Settings(anonymized_telemetry=False))
    said = add(client, job) if job["do"] == "add" else search(client, job)
    sys.stdout.write(json.dumps(said) + "\n")


def add(client: Any, job: dict[str, Any]) -> dict[str, Any]:
    collection = client.create_collection(NAME, embedding_function=ONNXMiniLM_L6_V2())
    chunks, names = [], []
    for path in sorted(Path(job["documents"]).iterdir()):
        pieces = cut(read(path), job["words"])
        chunks += pieces
        names += [path.name] * len(pieces)
    most = client.get_max_batch_size()
    for start in range(0, len(chunks), most):
        some = slice(start, start + most)
        collection.add(
            ids=[str(start + number) for number in range(len(chunks[some]))],
            documents=chunks[some],
            metadatas=[{"name": name} for name in names[some]],
        )
    return {"chunks": len(chunks)}


def search(client: Any, job: dict[str, Any]) -> dict[str, Any]:
    embed = ONNXMiniLM_L6_V2()
    collection = client.get_collection(NAME, embedding_function=embed)
    found = collection.query(query_texts=job["questions"], n_results=5)
    kept = collection.get()["documents"]
    return {
        "found": [[meta["name"] for meta in metas] for metas in found["metadatas"]],
        "texts": kept,
        "vector": embed([job["sentence"]])[0].tolist(),
    }


if __name__ == "__main__":
    main()
