"""The loss and the gradients of TRL's trainers on one batch of token ids: `python trl_losses.py JOB.json` prints {method: loss}.

The job: model (folder), reference and policy (PEFT folders of one shape), rows ([{prompt, chosen, rejected}] of ids), methods, out (folder
for METHOD.safetensors with the gradients by PEFT's names), beta. For KTO the chosen answers are wanted and the rejected ones not.
"""

import json
import sys
from pathlib import Path

import torch
from datasets import Dataset
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer, SFTConfig, SFTTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer

COMMON = {"use_cpu": True, "bf16": False, "gradient_checkpointing": False, "report_to": [], "disable_tqdm": True}


def keep(_trainer, dataset, *_rest, **_options):
    """The rows are token ids already."""
    return dataset


def as_is(_trainer, feature, *_rest, **_options):
    return {name: value for name, value in feature.items() if name.endswith(("_ids", "_labels", "_mask"))}


def sft_rows(rows):
    return [
        {"input_ids": row["prompt"] + row["chosen"], "labels": [-100] * len(row["prompt"]) + row["chosen"]}
        for row in rows
    ]


def pair_rows(rows):
    return [{"prompt_ids": row["prompt"], "chosen_ids": row["chosen"], "rejected_ids": row["rejected"]} for row in rows]


def kto_rows(rows):
    plain = [(row["prompt"], row[kind], kind == "chosen") for row in rows for kind in ("chosen", "rejected")]
    following = [*plain[1:], *plain[:1]]
    return [
        {"prompt_ids": prompt, "completion_ids": answer, "KL_completion_ids": other[1], "label": label}
        for (prompt, answer, label), other in zip(plain, following, strict=True)
    ]


def orpo_rows(rows):
    result = []
    for row in rows:
        made = {"prompt": "p", "chosen": "c", "rejected": "r", "prompt_input_ids": row["prompt"]}
        made["prompt_attention_mask"] = [1] * len(row["prompt"])
        for kind in ("chosen", "rejected"):
            ids = row["prompt"] + row[kind]
            made[f"{kind}_input_ids"], made[f"{kind}_attention_mask"] = ids, [1] * len(ids)
            made[f"{kind}_labels"] = [-100] * len(row["prompt"]) + row[kind]
        result.append(made)
    return result


def make_trainer(method, model, tokenizer, rows, job):
    out = job["out"] + "/" + method
    if method == "sft":
        config = SFTConfig(output_dir=out, **COMMON)
        return SFTTrainer(model, config, train_dataset=Dataset.from_list(sft_rows(rows)), processing_class=tokenizer)
    if method == "kto":
        kind = type("Kto", (KTOTrainer,), {"_prepare_dataset": keep})
        config = KTOConfig(
            output_dir=out,
            beta=job["beta"],
            per_device_train_batch_size=2 * len(rows),
            train_sampling_strategy="sequential",
            **COMMON,
        )
        data = Dataset.from_list(kto_rows(rows))
        return kind(model, args=config, train_dataset=data, processing_class=tokenizer)
    if method == "orpo":
        kind = type("Orpo", (ORPOTrainer,), {"tokenize_row": as_is})
        config = ORPOConfig(output_dir=out, beta=job["beta"], remove_unused_columns=False, **COMMON)
        data = Dataset.from_list(orpo_rows(rows))
        return kind(model, args=config, train_dataset=data, processing_class=tokenizer)
    kind = type("Pairs", (DPOTrainer,), {"_prepare_dataset": keep})
    config = DPOConfig(output_dir=out, beta=job["beta"], loss_type=["ipo" if method == "ipo" else "sigmoid"], **COMMON)
    data = Dataset.from_list(pair_rows(rows))
    return kind(model, args=config, train_dataset=data, processing_class=tokenizer)


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    torch.set_num_threads(job["threads"])
    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    policy = load_file(job["policy"] + "/adapter_model.safetensors")
    losses = {}
    for method in job["methods"]:
        base = AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32)
        model = PeftModel.from_pretrained(base, job["reference"], is_trainable=True)
        trainer = make_trainer(method, model, tokenizer, job["rows"], job)
        # The trainer has taken the adapter that it was given for its reference; what is tuned has moved on from there.
        mine = dict(trainer.model.named_parameters())
        with torch.no_grad():
            for name, tensor in policy.items():
                mine[name.replace(".weight", ".default.weight")].copy_(tensor)
        examples = [trainer.train_dataset[index] for index in range(len(trainer.train_dataset))]
        batch = trainer.data_collator(examples)
        trainer.model.eval() if method == "sft" else trainer.model.train()
        for parameter in mine.values():
            parameter.grad = None
        loss = trainer.compute_loss(trainer.model, batch)
        loss.backward()
        losses[method] = float(loss.detach())
        grads = {name: mine[name.replace(".weight", ".default.weight")].grad for name in policy}
        save_file({name: grad.contiguous() for name, grad in grads.items()}, f"{job['out']}/{method}.safetensors")
    print(json.dumps(losses))


if __name__ == "__main__":
    main()
