"""The table of verbs: name -> function. A new verb is one file and one line here; ``group verb`` is one of a group's."""

from __future__ import annotations

from collections.abc import Callable

from journeyman.cli.ask import ask
from journeyman.cli.assess import assess
from journeyman.cli.canary import canary
from journeyman.cli.compare import compare
from journeyman.cli.discover import discover
from journeyman.cli.doctor import doctor
from journeyman.cli.drift import drift
from journeyman.cli.erase import erase
from journeyman.cli.export import export
from journeyman.cli.extract import extract
from journeyman.cli.import_ import import_
from journeyman.cli.improve import improve
from journeyman.cli.init import init
from journeyman.cli.judge import judge
from journeyman.cli.key import key
from journeyman.cli.knowledge import add as knowledge_add
from journeyman.cli.knowledge import eval_ as knowledge_eval
from journeyman.cli.knowledge import list_ as knowledge_list
from journeyman.cli.knowledge import remove as knowledge_remove
from journeyman.cli.knowledge import search as knowledge_search
from journeyman.cli.knowledge_links import links as knowledge_links
from journeyman.cli.knowledge_questions import questions as knowledge_questions
from journeyman.cli.knowledge_tune import tune as knowledge_tune
from journeyman.cli.label import label
from journeyman.cli.merge import merge
from journeyman.cli.new import new
from journeyman.cli.prepare import prepare
from journeyman.cli.pull import pull
from journeyman.cli.quantize import quantize
from journeyman.cli.release import release
from journeyman.cli.report import report
from journeyman.cli.rollback import rollback
from journeyman.cli.run import run
from journeyman.cli.serve import serve
from journeyman.cli.shadow import shadow
from journeyman.cli.status import status
from journeyman.cli.synthesize import synthesize
from journeyman.cli.tune import tune

GROUPS = {"knowledge": "Documents: read, indexed, searched."}
COMMANDS: dict[str, Callable[..., object]] = {
    "init": init,
    "new": new,
    "pull": pull,
    "discover": discover,
    "import": import_,
    "synthesize": synthesize,
    "prepare": prepare,
    "label": label,
    "tune": tune,
    "assess": assess,
    "judge": judge,
    "compare": compare,
    "improve": improve,
    "release": release,
    "rollback": rollback,
    "canary": canary,
    "shadow": shadow,
    "run": run,
    "ask": ask,
    "extract": extract,
    "serve": serve,
    "knowledge add": knowledge_add,
    "knowledge search": knowledge_search,
    "knowledge list": knowledge_list,
    "knowledge links": knowledge_links,
    "knowledge remove": knowledge_remove,
    "knowledge questions": knowledge_questions,
    "knowledge eval": knowledge_eval,
    "knowledge tune": knowledge_tune,
    "key": key,
    "erase": erase,
    "export": export,
    "merge": merge,
    "quantize": quantize,
    "report": report,
    "status": status,
    "drift": drift,
    "doctor": doctor,
}
