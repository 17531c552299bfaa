"""`journeyman tune`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from journeyman.cli.options import AsJson, ProjectFolder, TaskName, parse_duration, working
from journeyman.cli.terminal import print_json, print_lines

Number = Annotated[str, typer.Option("--number", help="float32 or bfloat16; default: the faster one, by trying.")]


def tune(
    task: TaskName,
    method: Annotated[
        Literal["auto", "sft", "distill", "dpo", "ipo", "orpo", "kto", "reject"],
        typer.Option(help="What is learned from; auto looks at what the data holds, and says why."),
    ] = "auto",
    answers: Annotated[
        Literal["json", "codes", "lines"],
        typer.Option(
            help="What the student writes (clients get JSON): lines, a word and a value a field, fewer tokens than JSON has; "
            "codes, one token per answer, for tasks whose output is a choice, with every answer's probability."
        ),
    ] = "json",
    kind: Annotated[
        Literal["lora", "qlora", "rslora", "dora", "full", "head", "nearest", "prompt", "votes"] | None,
        typer.Option(
            help="What is changed; qlora: the base in 4 bits beside it; head: no language model but classifiers on an embedding model, "
            "for outputs that are a choice; nearest: the answer of the most similar train row; prompt: nothing, the base answers with the instruction and --shots examples; "
            "votes: nothing, another run's student is asked several times and most of its samples decide; default: lora."
        ),
    ] = None,
    features: Annotated[
        Literal["embedding", "words", "patterns", "none"] | None,
        typer.Option(
            help="What a head reads: the vectors of an embedding model (default), all words, a few mined ones, or nothing at all."
        ),
    ] = None,
    shots: Annotated[
        int | None, typer.Option(min=0, help="With --kind prompt: nearest examples before each input; default: none.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(help="With --kind votes: how often the student is asked; default: 5.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="With --kind votes: the temperature of each sample; default: 0.7.")
    ] = None,
    of: Annotated[
        str | None,
        typer.Option(help="With --kind votes: the finished run whose student is asked; default: the best on dev."),
    ] = None,
    layers: Annotated[int | None, typer.Option(help="Tune the last N layers alone; default: all.")] = None,
    finish: Annotated[
        Literal["Q8_0", "Q4_0"] | None,
        typer.Option(help="Tune the last quarter with weights as this type holds them; the student is one file of it."),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(help="Plain text that the base reads first (continued pre-training); repeatable."),
    ] = None,
    teacher: Annotated[
        str,
        typer.Option(
            help="A finished run's id or a model: distilled from, or asked for answers beside which the student's are wrong (dpo, ipo), "
            "or to judge draws by (reject)."
        ),
    ] = "",
    start: Annotated[
        str,
        typer.Option(
            help="The finished run that dpo, ipo, kto and reject begin at; default: plain tuning, done first."
        ),
    ] = "",
    rank: Annotated[int | None, typer.Option(help="Rank of the adapters.")] = None,
    alpha: Annotated[float | None, typer.Option(help="Scale of the adapters times rank; default: the rank.")] = None,
    rate: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the rows.")] = None,
    batch_tokens: Annotated[int | None, typer.Option(help="Tokens per step, padding included.")] = None,
    input_weight: Annotated[
        float | None, typer.Option(help="Loss on the input's own tokens, next to 1 on the answer's.")
    ] = None,
    head_tokens: Annotated[
        int | None,
        typer.Option(
            help="Tokens of a large vocabulary that the loss of sft and reject is taken over, besides the rows' own; 0: all."
        ),
    ] = None,
    hold: Annotated[
        int | None,
        typer.Option(
            help="Steps for which a beginning that all rows share is read once, as a constant; 0: it is part of every step."
        ),
    ] = None,
    beta: Annotated[float | None, typer.Option(help="How far preference methods may move from their start.")] = None,
    answer_weight: Annotated[
        float | None, typer.Option(help="Loss on the wanted answers themselves, next to 1 on the preference.")
    ] = None,
    soft_share: Annotated[
        float | None,
        typer.Option(help="Share of the teacher's probabilities in the loss of distill; the rest is its text."),
    ] = None,
    budget: Annotated[
        str, typer.Option(help="Time for a search of rate, rank and passes on dev, and its winner: 20m, 1h, 90s.")
    ] = "",
    mask: Annotated[
        int, typer.Option("--show-mask", help="Show the tokens of N rows and which carry a loss; nothing is tuned.")
    ] = 0,
    evaluations: Annotated[int | None, typer.Option(help="Looks at dev in the whole run.")] = None,
    patience: Annotated[int | None, typer.Option(help="Looks without gain before it stops.")] = None,
    is_weak: Annotated[
        bool,
        typer.Option(
            "--weak",
            help="Train rows weigh more that have a part in which the student assessed before erred on dev; assess says whether it helped.",
        ),
    ] = False,
    factor: Annotated[
        float | None,
        typer.Option(
            "--weak-factor",
            min=1,
            help="With --weak: how much more, as long as that is half of the weight at the most; default: 2.",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the order of rows and of the adapters' start.")] = None,
    base: Annotated[
        str,
        typer.Option(
            help="The base: a catalog name, or the path of a GGUF or of a Hugging Face folder; default: the project's."
        ),
    ] = "",
    number: Number = "",
    threads: Annotated[int | None, typer.Option(min=1, help="Threads; default: the fastest, by trying.")] = None,
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> None:
    """Tune a student on the prepared dataset and hold its export against torch. Killed, the same command continues.

    Example: journeyman tune tickets --epochs 4

    Example: journeyman tune tickets --method dpo

    Example: journeyman tune tickets --kind head --weak
    """
    from journeyman.flows.runs import MATERIAL
    from journeyman.flows.tune import Request
    from journeyman.flows.tune import tune as tune_task
    from journeyman.flows.weighting import FACTOR

    if factor is not None and not is_weak:
        raise typer.BadParameter("--weak-factor belongs to --weak")
    given = {
        "kind": kind,
        "features": features,
        "shots": shots,
        "samples": samples,
        "temperature": temperature,
        "of": of,
        "layers": layers,
        "finish": finish,
        "rank": rank,
        "alpha": alpha,
        "rate": rate,
        "epochs": epochs,
        "batch_tokens": batch_tokens,
        "input_weight": input_weight,
        "head_tokens": head_tokens,
        "hold": hold,
        "beta": beta,
        "answer_weight": answer_weight,
        "soft_share": soft_share,
        "evaluations": evaluations,
        "patience": patience,
        "seed": seed,
    }
    settings = {name: value for name, value in given.items() if value is not None}
    weak = (FACTOR if factor is None else factor) if is_weak else 0.0
    if mask:
        _show_mask(task, settings, mask, base, answers, weak, project, is_json)
        return
    request = Request(
        method,
        teacher,
        start,
        base,
        "",
        number,
        threads,
        parse_duration(budget) if budget else 0.0,
        tuple(text or ()),
        answers,
        weak,
    )
    with working(project, is_json) as workspace:
        result = tune_task(
            workspace,
            task,
            settings,
            request,
        )
    if is_json:
        print_json(
            {
                "task": task,
                "run": str(result.run.path),
                "dataset": result.dataset,
                "student": result.student.hash,
                "tuned": result.tuned,
                "parity": result.parity,
                "weighting": (result.run.read(MATERIAL) or {}).get("weighting"),
            }
        )
        return
    print_lines(f"student {result.student.hash[:12]} is in {result.student.folder}", f"next: journeyman assess {task}")


def _show_mask(
    task: str,
    given: Mapping[str, float | str],
    count: int,
    base: str,
    form: Literal["json", "codes", "lines"],
    weak: float,
    project: Path | None,
    is_json: bool,
) -> None:
    from journeyman.flows.masks import show_mask

    with working(project, is_json) as workspace:
        rows = show_mask(workspace, task, given, count, base, form, weak)
    if is_json:
        print_json({"task": task, "rows": [row.to_json() for row in rows]})
        return
    for row in rows:
        learned = sum(token.weight > 0 for token in row.tokens)
        print_lines(f"row {row.source[:12]}: {len(row.tokens)} tokens, {learned} with a loss")
        for weight, text in row.spans:
            print_lines(f"  {f'loss {weight:g}' if weight else 'read':<9}| " + text.replace("\n", "\u23ce"))
