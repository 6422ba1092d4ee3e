# Two commands are all that a newcomer needs: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# helm and kubectl come from here when the machine has none; the user's own are always preferred.
export BACKOUT_TOOLS_DIR ?= $(CURDIR)/.tools
# Many tests wait for clusters to come to rest, so there are more workers than processors.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(2 * (os.cpu_count() or 1))')

.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench clean

help: ## Says what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

$(VENV)/installed: pyproject.toml kubetwin/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Backout needs Python 3.11 or newer; say which with: make PYTHON=python3.12 ..."; exit 1; }
	@echo "Setting up $(VENV) …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable . --editable ./kubetwin
	@touch $@

$(VENV)/developing: $(VENV)/installed
	@echo "Adding the tools for tests and checks …"
	@$(BIN)/pip install --quiet --disable-pip-version-check --group dev
	@touch $@

demo: $(VENV)/installed ## Breaks a StatefulSet on an embedded cluster and recovers it, start to report
	@$(BIN)/backout demo

$(VENV)/tools: $(VENV)/installed
	@$(BIN)/python -m backout.tools >/dev/null
	@touch $@

test: $(VENV)/developing $(VENV)/tools ## Runs all tests (PYTEST_ARGS adds arguments)
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(PYTEST_ARGS)

lint: $(VENV)/developing ## ruff, mypy, layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/developing ## Puts the code into its form
	@$(BIN)/ruff check --fix --exit-zero --quiet .
	@$(BIN)/ruff format .

bench: $(VENV)/developing $(VENV)/tools ## Measures speed and memory beside the peers
	@$(BIN)/python -m bench

clean: ## Removes what the other commands made here
	@rm -rf $(VENV) .tools build .mypy_cache .ruff_cache .import_linter_cache src/*.egg-info kubetwin/src/*.egg-info kubetwin/build
