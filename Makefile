# One command each; `make setup` is part of all of them. GNU make 3.81 (macOS) and later.
#   make demo   the main job on a bundled example        make check   everything that is checked, as the CI does
#   make test   the tests                                make bench   long measurements
#   make docs   write the generated pages of docs/       make clean   remove .venv and what the tools left

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
MODELS := smollm2-135m-instruct all-minilm-l6-v2
# The first interpreter that is new enough; choose another with `make PYTHON=...`.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
# More arguments for pip, such as another index for torch.
PIP_ARGS ?=
# More arguments for pytest, such as `-n 2` for two processes or a folder.
PYTEST_ARGS ?=

.PHONY: setup demo test check bench docs clean
.NOTPARALLEL:

setup: $(STAMP)
	@set -e; for model in $(MODELS); do $(BIN)/journeyman pull $$model; done

# The stamp is older than the files that say what to install: install again.
$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed; name one with make PYTHON=/path/to/python3"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { rm -rf $(VENV); $(PYTHON) -m venv $(VENV); } || \
		{ rm -rf $(VENV); echo "no virtual environment could be made; on Debian: apt-get install python3-venv"; exit 1; }
	@echo "installing into $(VENV): some minutes the first time"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input $(PIP_ARGS) -c constraints.txt -e ".[dev]"
	@touch $@

# The demo uses no embedding model.
demo: MODELS := smollm2-135m-instruct
demo: setup
	@$(BIN)/python scripts/demo.py

test: setup
	@$(BIN)/python -m pytest -rs -m "not bench" $(PYTEST_ARGS)

check: setup
	@echo "== format"; $(BIN)/ruff format --check .
	@echo "== lint"; $(BIN)/ruff check .
	@echo "== types"; $(BIN)/mypy src/journeyman scripts
	@echo "== layers"; $(BIN)/lint-imports --no-logo
	@echo "== docs"; $(BIN)/python scripts/docs.py --check
	@echo "== tests"; $(BIN)/python -m pytest -rs -m "not bench" $(PYTEST_ARGS)

# pytest answers 5 when no test has the mark.
bench: setup
	@$(BIN)/python -m pytest -m bench || test $$? -eq 5
	@set -e; for file in benchmarks/*.py; do test -f "$$file" || continue; echo "== $$file"; $(BIN)/python "$$file"; done

docs: setup
	@$(BIN)/python scripts/docs.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find src tests scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
