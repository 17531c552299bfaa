"""`tune T`: from a prepared dataset to a student folder that has passed the parity gate. Resumable at every step."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from journeyman.core.canonical import Json
from journeyman.core.example import Example
from journeyman.data.dataset import read_manifest, read_split, read_unlabelled
from journeyman.flows.making import answer_budget, make_rows, write_student
from journeyman.flows.parity import check_parity, choose_prompts, refuse_defects
from journeyman.flows.runs import MACHINE, MATERIAL, PARITY, PLAN, RESULT, STUDENT, RunFolder, find_run
from journeyman.flows.student import Student, load_student
from journeyman.flows.workspace import Workspace
from journeyman.models.catalog import ResolvedModel, resolve
from journeyman.models.families import DecoderConfig, read_config
from journeyman.models.llamacpp import LlamaCpp
from journeyman.models.template import make_student_template
from journeyman.models.torch_decoder import Decoder
from journeyman.models.torch_weights import load_decoder
from journeyman.task.task import Task
from journeyman.tuning.batching import TuneRow
from journeyman.tuning.loop import Tuned, tune_rows
from journeyman.tuning.lora import Adapters
from journeyman.tuning.machine import (
    Machine,
    check_memory,
    count_flops,
    estimate_bytes,
    probe_machine,
    use_machine,
)
from journeyman.tuning.peft_layout import open_peft
from journeyman.tuning.plan import Plan, make_plan


@dataclass(frozen=True, slots=True)
class TuneResult:
    run: RunFolder
    dataset: str
    student: Student
    parity: Mapping[str, Json]
    tuned: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Material:
    """What a run works on: the task, its base, and the splits that tuning may see."""

    task: Task
    dataset: str
    base: ResolvedModel
    splits: Mapping[str, Sequence[Example]]


def tune(
    workspace: Workspace,
    task_name: str,
    given: Mapping[str, Json] | None = None,
    *,
    base: str = "",
    dataset: str = "",
    number: str = "",
    threads: int | None = None,
) -> TuneResult:
    """Tune a LoRA student on the task's latest dataset (or ``dataset``), export it, hold it against torch.

    The same arguments on the same dataset continue or repeat the same run.

    Raises:
        DataError: JM-352 nothing prepared. ModelError: JM-401 base not pulled. TuneError: JM-5xx.
    """
    material = load_material(workspace, task_name, base, dataset)
    run = find_run(workspace.project.runs, task_name, "tune", _key(material, given or {}, number, threads))
    with run.lock():
        run.decide(MATERIAL, lambda: _describe(material))
        student = load_student(run.path / STUDENT)
        if student is None:
            student = _make_student(workspace, material, run, given or {}, number, threads)
        parity = run.read(PARITY)
        if parity is None:
            parity = _show_parity(workspace, material, run, student)
        workspace.progress.note(
            f"student {student.hash[:12]}: {parity['equal']}/{parity['n']} greedy answers equal those of torch"
        )
        for problem in cast(list[str], parity["problems"]):
            workspace.progress.note(f"PARITY FAILED, so this student is not released unless forced: {problem}")
        return TuneResult(run, material.dataset, student, parity, run.read(RESULT) or {})


def load_material(workspace: Workspace, task_name: str, base: str = "", dataset: str = "") -> Material:
    task = workspace.task(task_name)
    chosen, manifest = read_manifest(workspace.store, task_name, dataset)
    splits: dict[str, Sequence[Example]] = {
        "train": read_split(workspace.store, manifest, "train", purpose="tune"),
        "dev": read_split(workspace.store, manifest, "dev", purpose="tune"),
        "calibration": read_split(workspace.store, manifest, "calibration"),
        "unlabelled": read_unlabelled(workspace.store, manifest),
    }
    return Material(task, chosen, resolve(base or workspace.project.text("base", "model")), splits)


def _key(material: Material, given: Mapping[str, Json], number: str, threads: int | None) -> dict[str, Json]:
    return {
        "task": material.task.answering(),
        "dataset": material.dataset,
        "base": material.base.sha256,
        "given": dict(given),
        "number": number,
        "threads": threads,
    }


def _describe(material: Material) -> dict[str, Json]:
    train = material.splits["train"]
    return {
        "dataset": material.dataset,
        "base": {"name": material.base.name, "sha256": material.base.sha256},
        "rows": {name: len(rows) for name, rows in material.splits.items()},
        "restricted": sum(row.terms == "restricted" for row in train),
    }


def _make_student(
    workspace: Workspace,
    material: Material,
    run: RunFolder,
    given: Mapping[str, Json],
    number: str,
    threads: int | None,
) -> Student:
    """Probe, plan, tune, write."""
    config = read_config(material.base.path)
    template = make_student_template(material.base.path)
    rows = make_rows(material.task, template, material.splits["train"], config.context)
    dev = make_rows(material.task, template, material.splits["dev"], config.context)
    plan = Plan.from_json(run.decide(PLAN, lambda: make_plan(rows, given).to_json()))
    machine = Machine.from_json(run.decide(MACHINE, lambda: _probe(number, threads).to_json()))
    _announce(workspace, plan, machine, rows, dev)
    longest = max(len(row.ids) for row in rows)
    check_memory(estimate_bytes(config, plan.whole("rank"), plan.whole("batch_tokens"), longest, machine.number))
    use_machine(machine)
    decoder = load_decoder(material.base.path, machine.number)
    tuned = tune_rows(decoder, rows, dev, plan, run.path, workspace.progress)
    _record(workspace, run, tuned, _utilization(config, plan, machine, tuned, rows))
    budget = answer_budget([*rows, *dev])
    return write_student(run.path / STUDENT, material.task, material.base, config, tuned.adapters, budget)


def _probe(number: str, threads: int | None) -> Machine:
    return probe_machine(number or None, threads)  # type: ignore[arg-type]


def _announce(
    workspace: Workspace, plan: Plan, machine: Machine, rows: Sequence[TuneRow], dev: Sequence[TuneRow]
) -> None:
    note = workspace.progress.note
    note(f"{len(rows)} rows to tune on, {len(dev)} to choose by; {plan.total_tokens} tokens in all")
    note(
        f"{machine.number} because {machine.number_reason}; {machine.threads} threads because {machine.threads_reason}"
    )
    note(
        ", ".join(
            f"{name} {setting.value} ({setting.reason or setting.origin})" for name, setting in plan.settings.items()
        )
    )


def _utilization(config: DecoderConfig, plan: Plan, machine: Machine, tuned: Tuned, rows: Sequence[TuneRow]) -> float:
    """Operations that the model needed, over those that products at the measured peak would have done in the same time; looks at dev
    are in the time, not in the operations."""
    share = sum(row.supervised for row in rows) / sum(len(row.ids) for row in rows)
    flops = count_flops(config, plan.whole("rank"), tuned.cursor.tokens, int(share * tuned.cursor.tokens))
    return flops / (max(tuned.cursor.seconds, 1e-9) * machine.peak_gflops * 1e9)


def _record(workspace: Workspace, run: RunFolder, tuned: Tuned, utilization: float) -> None:
    cursor = tuned.cursor
    workspace.progress.note(
        f"{cursor.tokens / max(cursor.seconds, 1e-9):.0f} tokens/s, {utilization:.0%} of the machine's measured peak"
    )
    run.write(
        RESULT,
        {
            "seconds": round(cursor.seconds, 1),
            "tokens": cursor.tokens,
            "steps": cursor.step,
            "utilization": round(utilization, 3),
            "dev_loss": tuned.score.loss if tuned.score else None,
            "dev_exact": tuned.score.exact if tuned.score else None,
        },
    )


def _show_parity(workspace: Workspace, material: Material, run: RunFolder, student: Student) -> dict[str, Json]:
    prompts = choose_prompts(dict(material.splits))
    decoder = load_decoder(material.base.path, "float32")
    adapters = open_peft(decoder, student.folder / "peft")
    parity = asyncio.run(_ask_engine(workspace, material, student, decoder, adapters, prompts))
    run.write(PARITY, parity)
    return parity


async def _ask_engine(
    workspace: Workspace,
    material: Material,
    student: Student,
    decoder: Decoder,
    adapters: Adapters,
    prompts: Sequence[tuple[str, Example]],
) -> dict[str, Json]:
    engine = await LlamaCpp.start(material.base.path, {student.adapter: student.adapter_path})
    try:
        template = make_student_template(material.base.path)
        parity = await check_parity(
            material.task, template, student, decoder, adapters, engine, prompts, student.max_tokens, workspace.progress
        )
    finally:
        await engine.close()
    refuse_defects(parity)
    return parity.to_json()
