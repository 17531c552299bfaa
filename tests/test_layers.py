"""The layers hold, and the contract that says so notices when they do not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """import-linter over ``folder/src``; its own source comes first, before the installed package."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"]
    surroundings = os.environ | {"PYTHONPATH": str(folder / "src"), "COLUMNS": "200", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The source and its contracts, to be damaged."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_layers_hold() -> None:
    done = _lint(ROOT)
    assert done.returncode == 0, done.stdout
    assert "4 kept, 0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "statement", "broken"),
    [
        ("tuning/plan.py", "import journeyman.evaluation", "Higher layers import lower ones"),
        ("core/ids.py", "import journeyman.task.task", "Higher layers import lower ones"),
        (
            "models/protocol.py",
            "def late():\n    from journeyman.store import database",
            "Higher layers import lower ones",
        ),
        (
            "store/rows.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import journeyman.models.protocol",
            "Higher layers import lower ones",
        ),
        ("core/ids.py", "import journeyman.core.example", ""),
        ("core/canonical.py", "def late():\n    import journeyman.core.example", "No cycles between siblings"),
        ("flows/runs.py", "import torch", "torch and its family"),
        ("gateway/app.py", "import sqlalchemy", "the database lives in store"),
    ],
)
def test_a_wrong_import_is_caught(copy: Path, module: str, statement: str, broken: str) -> None:
    path = copy / "src" / "journeyman" / module
    path.write_text(f"{path.read_text()}\n\n{statement}\n")
    done = _lint(copy)
    names = [line for line in done.stdout.splitlines() if line.rstrip().endswith("BROKEN")]
    assert any(name.startswith(broken) for name in names) == bool(broken)
    assert done.returncode == (1 if broken else 0), done.stdout


def test_a_package_that_no_layer_names_is_caught(copy: Path) -> None:
    folder = copy / "src" / "journeyman" / "utils"
    folder.mkdir()
    (folder / "__init__.py").touch()
    done = _lint(copy)
    assert done.returncode == 1
    assert "utils" in done.stdout + done.stderr
