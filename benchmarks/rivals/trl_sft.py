"""TRL's SFTTrainer on rows of token ids; runs in the rival's environment: `python trl_sft.py JOB.json` prints one JSON document.

The job: model (folder), rows and dev ([{ids, start}]), out (folder), rank, limit_s (no step begins after it), settings (for SFTConfig;
what is absent stays at its default). `tune` takes the model from the caller, so other tools that train under TRL's trainer share it.
"""

import json
import sys
import time

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer


class Limit(TrainerCallback):
    """Stops at the end of the step in which the time is over."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.until = float("inf")

    def on_train_begin(self, args, state, control, **_):
        self.until = time.perf_counter() + self.seconds

    def on_step_end(self, args, state, control, **_):
        if time.perf_counter() > self.until:
            control.should_training_stop = True


def main():
    job = read_job()
    lora = LoraConfig(r=job["rank"], lora_alpha=job["rank"], target_modules="all-linear", task_type="CAUSAL_LM")
    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    print(json.dumps(tune(job, AutoModelForCausalLM.from_pretrained(job["model"]), tokenizer, lora)))


def read_job():
    """The job that the command line names; torch has its threads from then on."""
    with open(sys.argv[1], encoding="utf-8") as file:
        job = json.load(file)
    torch.set_num_threads(job["threads"])
    return job


def tune(job, model, tokenizer, lora=None):
    """Train the model on the job's rows, save the adapter to its ``out``, and say what was done. ``lora``: None when the model has it."""
    rows = [
        {"input_ids": row["ids"], "labels": [-100] * row["start"] + row["ids"][row["start"] :]} for row in job["rows"]
    ]
    config = SFTConfig(output_dir=job["out"], report_to=[], save_strategy="no", disable_tqdm=True, **job["settings"])
    trainer = SFTTrainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=lora,
        callbacks=[Limit(job["limit_s"])],
    )
    started = time.perf_counter()
    result = trainer.train()
    seconds = time.perf_counter() - started
    trainer.save_model(job["out"])
    losses = [entry for entry in trainer.state.log_history if "loss" in entry]
    examples = min(result.global_step * config.per_device_train_batch_size, len(rows) * config.num_train_epochs)
    return {
        "seconds": seconds,
        "steps": result.global_step,
        "examples": examples,
        "is_finished": result.global_step >= trainer.state.max_steps,
        "planned_steps": trainer.state.max_steps,
        "last_loss": losses[-1]["loss"] if losses else None,
        "bf16": config.bf16,
        "gradient_checkpointing": config.gradient_checkpointing,
        "rate": config.learning_rate,
        "batch": config.per_device_train_batch_size,
        "threads": torch.get_num_threads(),
        "dtype": str(next(trainer.model.parameters()).dtype),
        "trained_weights": sum(weight.numel() for weight in trainer.model.parameters() if weight.requires_grad),
    }


if __name__ == "__main__":
    main()
