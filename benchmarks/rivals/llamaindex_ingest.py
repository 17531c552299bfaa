"""Files into an index of LlamaIndex, or questions to it; runs in the rival's environment. Job: {"do": "add" or "search", "documents", "index", "model", "tokens", "questions", "sentence"}.

As its documentation has it: its readers of Markdown and HTML, SentenceSplitter, a local HuggingFaceEmbedding (sentence-transformers, float32, texts sorted by length in a call), SimpleVectorStore written
with `persist`. Without the files' facts in front of each chunk, which would make it slower. Batches of 32 texts instead of its default of 10.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from llama_index.core import Settings, SimpleDirectoryReader, StorageContext, VectorStoreIndex, load_index_from_storage
from llama_index.core.llms import MockLLM
from llama_index.core.node_parser import SentenceSplitter
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from llama_index.readers.file import HTMLTagReader, MarkdownReader

BATCH = 32


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    Settings.llm = MockLLM()
    embed = HuggingFaceEmbedding(model_name=job["model"], device="cpu", embed_batch_size=BATCH)
    said = add(embed, job) if job["do"] == "add" else search(embed, job)
    sys.stdout.write(json.dumps(said) + "\n")


def add(embed: Any, job: dict[str, Any]) -> dict[str, Any]:
    readers = {".md": MarkdownReader(), ".html": HTMLTagReader(tag="body", ignore_no_id=False)}
    documents = SimpleDirectoryReader(
        job["documents"], file_extractor=readers, file_metadata=lambda path: {"name": Path(path).name}
    ).load_data()
    for document in documents:
        document.excluded_embed_metadata_keys = list(document.metadata)
        document.excluded_llm_metadata_keys = list(document.metadata)
    splitter = SentenceSplitter(chunk_size=job["tokens"], chunk_overlap=0)
    index = VectorStoreIndex.from_documents(documents, transformations=[splitter], embed_model=embed)
    index.storage_context.persist(job["index"])
    return {"chunks": len(index.docstore.docs)}


def search(embed: Any, job: dict[str, Any]) -> dict[str, Any]:
    index = load_index_from_storage(StorageContext.from_defaults(persist_dir=job["index"]), embed_model=embed)
    retriever = index.as_retriever(similarity_top_k=5)
    return {
        "found": [[hit.node.metadata["name"] for hit in retriever.retrieve(asked)] for asked in job["questions"]],
        "texts": [node.get_content("embed") for node in index.docstore.docs.values()],
        "vector": embed.get_text_embedding(job["sentence"]),
    }


if __name__ == "__main__":
    main()
