"""TRL's DPOTrainer on pairs of token ids; runs in the rival's environment: `python trl_dpo.py JOB.json` prints one JSON document.

The job: model (folder), rows ([{prompt, chosen, rejected}]), out (folder), rank, threads, settings (for DPOConfig; what is absent stays at
its default). The reference's seconds are counted apart from tuning's.
"""

import json
import sys
import time

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer

REFERENCE = [0.0]


class Pairs(DPOTrainer):
    """Takes rows that are token ids already, and says how long the reference took."""

    def _prepare_dataset(self, dataset, *_rest, **_options):
        return dataset

    def _precompute_ref_logps(self, *arguments, **options):
        started = time.perf_counter()
        result = super()._precompute_ref_logps(*arguments, **options)
        REFERENCE[0] += time.perf_counter() - started
        return result


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        job = json.load(file)
    torch.set_num_threads(job["threads"])
    rows = [
        {"prompt_ids": row["prompt"], "chosen_ids": row["chosen"], "rejected_ids": row["rejected"]}
        for row in job["rows"]
    ]
    config = DPOConfig(output_dir=job["out"], report_to=[], save_strategy="no", disable_tqdm=True, **job["settings"])
    trainer = Pairs(
        model=AutoModelForCausalLM.from_pretrained(job["model"]),
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(job["model"]),
        peft_config=LoraConfig(
            r=job["rank"], lora_alpha=job["rank"], target_modules="all-linear", task_type="CAUSAL_LM"
        ),
    )
    before = REFERENCE[0]
    started = time.perf_counter()
    result = trainer.train()
    seconds = time.perf_counter() - started - (REFERENCE[0] - before)
    trainer.save_model(job["out"])
    print(
        json.dumps(
            {
                "seconds": seconds,
                "reference_seconds": REFERENCE[0],
                "steps": result.global_step,
                "is_finished": result.global_step >= trainer.state.max_steps,
                "pairs": result.global_step * config.per_device_train_batch_size,
                "loss": result.training_loss,
                "bf16": config.bf16,
                "gradient_checkpointing": config.gradient_checkpointing,
                "rate": config.learning_rate,
                "batch": config.per_device_train_batch_size,
            }
        )
    )


if __name__ == "__main__":
    main()
