"""A Hugging Face folder as a base: what the converted GGUF reads, computes and answers is what transformers does with the folder."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from journeyman.core.errors import JourneymanError, ModelError
from journeyman.core.messages import make_message
from journeyman.core.progress import Silent
from journeyman.models.catalog import resolve
from journeyman.models.families import read_config
from journeyman.models.gguf_header import read_fields, read_header
from journeyman.models.hf_base import find_gguf
from journeyman.models.hf_tokenizer import read_tokenizer_fields
from journeyman.models.llamacpp import LlamaCpp
from journeyman.models.protocol import Decoding
from journeyman.models.template import load_base_template, make_student_template
from journeyman.models.tokenizer import Tokenizer, load_tokenizer
from journeyman.models.torch_weights import load_decoder
from journeyman.tuning.hf_layout import save_description, save_folder
from journeyman.tuning.reference import generate
from tests.models.hf_folders import make_gemma_tokenizer, write_folder

CASES = (("llama", "smollm"), ("llama", "llama-bpe"), ("qwen2", "qwen2"), ("qwen3", "qwen2"), ("gemma3", "gemma"))
PIECES = [
    "the other red",
    "'ll",
    "  ",
    "\n\n",
    "\r\n",
    "\t",
    "1234",
    "<think>",
    "<|im_end|>x",
    "====",
    "中文",
    "é",
    "🙂",
    "def f(x):",
]
TEXTS = st.lists(
    st.text(st.characters(exclude_characters="▁", exclude_categories=["Cs"])) | st.sampled_from(PIECES)
).map("".join)
WORDS = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}


@dataclass(frozen=True)
class Base:
    """A folder as transformers wrote it, and what it was converted to."""

    folder: Path
    model: PreTrainedModel
    theirs: PreTrainedTokenizerFast
    gguf: Path
    ours: Tokenizer


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JOURNEYMAN_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Base:
    family, pre = request.param
    folder = tmp_path_factory.mktemp(family) / "tiny"
    model = write_folder(family, folder, pre)
    gguf = resolve(str(folder)).path
    return Base(folder, model, AutoTokenizer.from_pretrained(folder), gguf, load_tokenizer(gguf))


@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
def test_text_is_read_as_transformers_reads_it(base: Base, text: str) -> None:
    for word in base.ours.special:  # which transformers parses out of any text, and we never do
        text = text.replace(word, "")
    text = unicodedata.normalize("NFC", text)
    ids = base.theirs(text, add_special_tokens=False).input_ids
    assert base.ours.encode(text) == ids
    assert base.ours.decode(ids) == base.theirs.decode(ids, clean_up_tokenization_spaces=False)


def test_a_chat_begins_and_ends_as_in_transformers(base: Base) -> None:
    chat = [{"role": "user", "content": "Say which of the other 12"}]
    expected = base.theirs.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    messages = [make_message("user", "Say which of the other 12")]
    assert load_base_template(base.gguf).prompt_ids(messages) == expected
    assert base.ours.end == base.theirs.eos_token_id
    assert (base.ours.bos is None) == (
        base.theirs("a").input_ids == base.theirs("a", add_special_tokens=False).input_ids
    )


def test_logits_equal_those_of_transformers(base: Base) -> None:
    ids = torch.tensor([base.theirs("the quick brown fox 12 " * 3).input_ids])
    for path in (base.folder, base.gguf):
        decoder = load_decoder(path)
        with torch.no_grad():
            got, expected = decoder.hidden(ids) @ decoder.head.T, base.model(ids).logits
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


def test_the_engine_answers_as_transformers(base: Base) -> None:
    ids = base.theirs("the other red " * 4).input_ids

    async def ask() -> tuple[list[int], list[float]]:
        engine = await LlamaCpp.start(base.gguf, {}, threads=1, context=128)
        try:
            made = await engine.generate(ids, Decoding(max_tokens=8, logprobs=True))
        finally:
            await engine.close()
        return list(made.token_ids), [item.logprob for item in made.logprobs]

    tokens, logprobs = asyncio.run(ask())
    with torch.no_grad():
        logits = base.model(torch.tensor([[*ids, *tokens]])).logits[0, len(ids) - 1 : -1]
    assert logprobs
    assert logits.argmax(-1).tolist() == tokens
    expected = logits.log_softmax(-1).gather(1, torch.tensor(tokens)[:, None])[:, 0]
    # The engine leaves out those of tokens that are no whole character, and keeps what it has read in 16 bits.
    assert all(min(abs(expected - logprob)) < 0.02 for logprob in logprobs)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_weights_keep_their_number_type(family: str, dtype: torch.dtype, tmp_path: Path) -> None:
    write_folder(family, tmp_path, dtype=dtype)
    path = find_gguf(tmp_path)
    kinds = {(len(info.shape), info.kind) for info in read_header(path).tensors.values()}
    assert kinds == {(1, 0), (2, 30 if dtype == torch.bfloat16 else 1)}
    whole, folder = load_decoder(path), load_decoder(tmp_path)
    for ours, theirs in zip(whole.layers, folder.layers, strict=True):
        assert all(torch.equal(ours.projections[key], theirs.projections[key]) for key in theirs.projections)
        assert all(torch.equal(ours.norms[key], theirs.norms[key]) for key in theirs.norms)


def test_shards_and_a_head_of_its_own(tmp_path: Path) -> None:
    model = write_folder("llama", tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "many")
    (tmp_path / "many/model.safetensors").unlink()
    model.save_pretrained(tmp_path / "many", max_shard_size="60KB")
    one, many = find_gguf(tmp_path / "one"), find_gguf(tmp_path / "many")
    assert one != many
    assert one.read_bytes() == many.read_bytes()
    assert "output.weight" in read_header(one).tensors


def test_a_folder_is_converted_once_and_known_by_its_content(tmp_path: Path, cache: Path) -> None:
    write_folder("qwen2", tmp_path / "here", "qwen2")
    first = resolve(str(tmp_path / "here"))
    stamp = first.path.stat().st_mtime_ns
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    assert resolve(str(tmp_path / "there")).path == first.path == resolve(str(tmp_path / "here")).path
    assert first.path.stat().st_mtime_ns == stamp
    assert first.path.is_relative_to(cache)
    assert not list((tmp_path / "here").glob(".*"))
    (tmp_path / "there/chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    changed = resolve(str(tmp_path / "there"))
    assert changed.path != first.path
    assert read_fields(changed.path)["tokenizer.chat_template"] == "{{ messages[0]['content'] }}"


def test_a_damaged_conversion_is_made_again(tmp_path: Path) -> None:
    write_folder("qwen3", tmp_path, "qwen2")
    before = resolve(str(tmp_path))
    whole = before.path.read_bytes()
    before.path.write_bytes(whole[:-100] + bytes(100))
    assert resolve(str(tmp_path)).sha256 == before.sha256
    assert before.path.read_bytes() == whole


def test_two_at_once_convert_once(tmp_path: Path) -> None:
    write_folder("llama", tmp_path, seed=7)
    begun: list[str] = []

    class Counting(Silent):
        def start(self, stage: str, total: float | None = None, unit: str = "") -> None:
            begun.append(stage)

    threads = [threading.Thread(target=find_gguf, args=(tmp_path, Counting())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(begun) == 1


def test_a_kill_leaves_no_half_file(tmp_path: Path) -> None:
    write_folder("llama", tmp_path / "model")
    code = (
        "import os, signal, sys; from pathlib import Path; from journeyman.models import hf_base\n"
        "make, count = hf_base.Planned.make, []\n"
        "def once_more(self):\n"
        "    count.append(1)\n"
        "    return os.kill(os.getpid(), signal.SIGKILL) if len(count) == 9 else make(self)\n"
        "hf_base.Planned.make = once_more\n"
        "hf_base.find_gguf(Path(sys.argv[1]))"
    )
    environment = os.environ | {"JOURNEYMAN_CACHE": str(tmp_path / "cache")}
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path / "model")], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    converted = tmp_path / "cache/converted"
    assert [path.suffix for path in converted.iterdir() if path.suffix in (".gguf", ".json", ".partial")] == [
        ".partial"
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JOURNEYMAN_CACHE", str(tmp_path / "cache"))
        load_decoder(find_gguf(tmp_path / "model"))
    assert not list(converted.glob("*.partial"))


def test_no_torch_is_loaded_for_it(tmp_path: Path) -> None:
    write_folder("gemma3", tmp_path, seed=8)
    code = (
        "import sys; from journeyman.models.catalog import resolve; assert 'gguf' not in sys.modules; resolve(sys.argv[1]);"
        "assert not {'torch', 'transformers', 'safetensors'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


def _drop(*names: str) -> Callable[[Path], None]:
    return lambda folder: [(folder / name).unlink() for name in names] and None


def _json(name: str, **change: object) -> Callable[[Path], None]:
    """Change the file's values; a key with ``__`` reaches a level down, and None takes it away."""

    def apply(folder: Path) -> None:
        raw = json.loads((folder / name).read_text())
        for key, value in change.items():
            *outer, last = key.split("__")
            target = raw[outer[0]] if outer else raw
            target.pop(last, None) if value is None else target.update({last: value})
        (folder / name).write_text(json.dumps(raw))

    return apply


def _tensors(edit: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        edit(tensors)
        save_file(tensors, folder / "model.safetensors")

    return apply


def _truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-64])


def _adapter(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "adapter_config.json").write_text("{}")


Q = "model.layers.1.self_attn.q_proj.weight"
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "rope_theta": 10000.0}
REFUSED: list[tuple[Callable[[Path], None], str, str]] = [
    (_drop("tokenizer.json"), "JM-414", "no tokenizer.json"),
    (_drop("config.json", "model.safetensors"), "JM-414", "no config.json, model.safetensors"),
    (_adapter, "JM-414", "adapter_config.json: an adapter, not a base"),
    (_json("config.json", model_type="mamba"), "JM-408", "llama | qwen2 | qwen3 | gemma3"),
    (_json("config.json", rope_parameters=LLAMA3), "JM-408", "scaled rotary positions (llama3)"),
    (_json("config.json", hidden_act="gelu"), "JM-408", "the activation gelu"),
    (_json("config.json", quantization_config={"quant_method": "gptq"}), "JM-417", "gptq"),
    (_json("config.json", num_hidden_layers=4), "JM-418", "model.layers.3."),
    (_json("config.json", intermediate_size=100), "JM-418", "[100, 64], by config.json"),
    (_json("config.json", vocab_size=90), "JM-418", "[90, 64], by config.json"),
    (_tensors(lambda found: found.update({Q: found[Q].to(torch.int8)})), "JM-417", "I8"),
    (_tensors(lambda found: found.pop(Q)), "JM-418", f"no tensor {Q}"),
    (_tensors(lambda found: found.update(extra=found[Q].clone())), "JM-408", "the tensor extra"),
    (_tensors(lambda found: found.pop("lm_head.weight")), "JM-418", "no tensor lm_head.weight"),
    (_truncate, "JM-418", "past the end of the file"),
    (_json("tokenizer.json", pre_tokenizer={"type": "Whitespace"}), "JM-406", "Whitespace"),
    (_json("tokenizer.json", normalizer={"type": "Lowercase"}), "JM-406", "Lowercase"),
    (_json("tokenizer.json", model__type="Unigram"), "JM-406", "Unigram"),
    (_json("tokenizer.json", model__ignore_merges=True), "JM-406", "ignore_merges True"),
    (_json("tokenizer.json", decoder={"type": "Fuse"}), "JM-419", "read text differently"),
    (_json("tokenizer_config.json", add_eos_token=True), "JM-406", "more than a begin token"),
]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good") / "tiny"
    write_folder("llama", folder)
    return folder


@pytest.mark.parametrize(("spoil", "code", "says"), REFUSED, ids=[f"{code} {says}" for _, code, says in REFUSED])
def test_what_cannot_be_converted_is_one_clear_error(
    good: Path, tmp_path: Path, cache: Path, spoil: Callable[[Path], None], code: str, says: str
) -> None:
    folder = Path(shutil.copytree(good, tmp_path / "tiny"))
    spoil(folder)
    before = sorted((cache / "converted").glob("*")) if (cache / "converted").is_dir() else []
    with pytest.raises(JourneymanError) as caught:
        resolve(str(folder))
    assert caught.value.code == code
    assert says in str(caught.value)
    assert caught.value.hint
    left = {path for path in (cache / "converted").glob("*") if path not in before}
    assert not {path.suffix for path in left} & {".gguf", ".json", ".partial"}


def test_merges_that_scores_cannot_stand_for_are_refused(tmp_path: Path) -> None:
    write_folder("gemma3", tmp_path)
    path = tmp_path / "tokenizer.json"
    raw = json.loads(path.read_text())
    raw["model"]["merges"].remove(["▁t", "he"])
    path.write_text(json.dumps(raw))
    with pytest.raises(ModelError, match="JM-406") as caught:
        resolve(str(tmp_path))
    assert "merges that no scores of tokens stand for" in str(caught.value)
    assert make_gemma_tokenizer().encode("the") != []


# The real bases of the catalog: written as folders, and taken as bases again.


@pytest.mark.model
def test_smollm2_there_and_back(tmp_path: Path) -> None:
    original = _pulled("smollm2-135m-instruct")
    decoder = load_decoder(original)
    short = replace(decoder, config=replace(decoder.config, layers=4), layers=decoder.layers[:4])
    template = make_student_template(original)
    save_folder(tmp_path, short, template)
    path = find_gguf(tmp_path)
    was, now = read_fields(original), read_fields(path)
    for name in ("tokens", "token_type", "merges", "pre", "model", "eos_token_id", "add_bos_token", "padding_token_id"):
        assert now[f"tokenizer.ggml.{name}"] == was[f"tokenizer.ggml.{name}"]
    assert replace(read_config(path), epsilon=0) == replace(short.config, epsilon=0)
    _read_alike(load_tokenizer(original), load_tokenizer(path), AutoTokenizer.from_pretrained(tmp_path))
    prompts = [template.tokenizer.encode(text) for text in ("Once upon a time", "The sum of 2 and 3 is", "def f(x):")]
    again = load_decoder(path)
    with torch.no_grad():
        assert torch.equal(again.hidden(torch.tensor([prompts[1]])), short.hidden(torch.tensor([prompts[1]])))

    async def ask() -> list[list[int]]:
        engine = await LlamaCpp.start(path, {}, threads=1, context=128)
        try:
            return [list((await engine.generate(ids, Decoding(max_tokens=6))).token_ids) for ids in prompts]
        finally:
            await engine.close()

    assert asyncio.run(ask()) == [answer.ids for answer in generate(again, None, prompts, template.tokenizer.end, 6)]


@pytest.mark.model
@pytest.mark.slow
def test_gemmas_tokenizer_there_and_back(tmp_path: Path) -> None:
    try:
        original = _pulled("gemma-3-270m")
    except ModelError as error:
        pytest.skip(f"needs `journeyman pull gemma-3-270m`: {error.code}")
    save_description(tmp_path, read_config(original), make_student_template(original), "bfloat16", is_tied=True)
    was, now = read_fields(original), read_tokenizer_fields(tmp_path, 262_144)
    for name in (
        "tokens",
        "token_type",
        "pre",
        "model",
        "bos_token_id",
        "eos_token_id",
        "unknown_token_id",
        "add_bos_token",
    ):
        assert now[f"tokenizer.ggml.{name}"] == was[f"tokenizer.ggml.{name}"]


def _read_alike(one: Tokenizer, other: Tokenizer, theirs: PreTrainedTokenizerFast) -> None:
    @settings(max_examples=150, deadline=None)
    @given(text=TEXTS)
    def check(text: str) -> None:
        for word in one.special:
            text = text.replace(word, "")
        assert one.encode(text) == other.encode(text) == theirs(text, add_special_tokens=False).input_ids

    check()


def _pulled(name: str) -> Path:
    """The catalog's model in the user's own cache, which this module's tests do not write to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("JOURNEYMAN_CACHE")
        return resolve(name).path
