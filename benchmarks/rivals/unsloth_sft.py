"""Unsloth on the CPU, on rows of token ids; runs in the rival's environment: `python unsloth_sft.py JOB.json` prints one JSON document.

The job and the document are those of `trl_sft.py`: Unsloth changes the model, TRL's trainer runs it. Written from its documentation alone.
"""

import json

from unsloth import FastLanguageModel  # isort: skip  (it wants to be there before TRL)
from trl_sft import read_job, tune  # isort: skip

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def main():
    job = read_job()
    model, tokenizer = FastLanguageModel.from_pretrained(
        model_name=job["model"],
        max_seq_length=max(len(row["ids"]) for row in job["rows"]),
        dtype=None,  # what it holds to be best here
        load_in_4bit=False,
    )
    model = FastLanguageModel.get_peft_model(
        model,
        r=job["rank"],
        lora_alpha=job["rank"],
        lora_dropout=0,
        bias="none",
        target_modules=LINEAR,
        use_gradient_checkpointing=job["settings"].get("gradient_checkpointing", "unsloth"),
    )
    print(json.dumps(tune(job, model, tokenizer)))


if __name__ == "__main__":
    main()
