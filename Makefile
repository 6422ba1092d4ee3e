# Two commands are all that a newcomer needs: make demo, make test.
# Python: the first of these that is new enough; PYTHON=… names another.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$name; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
# helm and kubectl come from here when the machine has none; the user's own are always preferred.
export BACKOUT_TOOLS_DIR ?= $(CURDIR)/.tools
# Modules are compiled once: hundreds of processes of the tests would else compile each of them again.
unexport PYTHONDONTWRITEBYTECODE
# Many tests wait for clusters to come to rest, so there are more workers than processors.
WORKERS ?= $(shell $(BIN)/python -c 'import os; print(2 * (os.cpu_count() or 1))')

.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench incidents soak workers kills mutations pythons packages lock upgrade clean

help: ## Says what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

# Everything comes from the lock, with hashes: what works today works next month. `make lock` writes it.
$(VENV)/installed: pyproject.toml kubetwin/pyproject.toml lock/run.txt
	@test -n "$(PYTHON)" || { echo "Backout needs Python 3.11 or newer; say which with: make PYTHON=/path/to/python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is too old: Backout needs Python 3.11 or newer."; exit 1; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version) (about a minute) …"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --require-hashes --requirement lock/run.txt
	@$(PIP) install --no-deps --no-build-isolation --editable . --editable ./kubetwin
	@touch $@

$(VENV)/developing: $(VENV)/installed lock/develop.txt
	@echo "Adding the tools for tests and checks …"
	@$(PIP) install --require-hashes --requirement lock/develop.txt
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

soak: $(VENV)/developing $(VENV)/tools ## Ways back under a failing API server and killed processes, hundreds of seeds
	@$(BIN)/python tests/soak/play.py --faults 200 --kills 1000 $(SOAK_ARGS)

workers: $(VENV)/developing ## Workers share an operation over 50 clusters; one is killed every 10 seconds, the database restarts twice
	@$(BIN)/python tests/crash/share_killer.py --clusters 50 --every 10 --restarts 2 $(WORKERS_ARGS)

kills: $(VENV)/developing $(VENV)/tools ## Kills Backout 10,000 times at random, over all ways back and both databases
	@$(BIN)/python tests/kills/kill.py --kills 10000 $(KILLS_ARGS)

mutations: $(VENV)/developing $(VENV)/tools ## Takes preconditions, records and fences out, one at a time: do the tests find it?
	@$(BIN)/python tests/mutations/mutate.py $(MUTATIONS_ARGS)

incidents: $(VENV)/developing $(VENV)/tools ## Plays incidents (scripts and generated) and healthy stacks: is the cause named, is nothing harmed?
	@$(BIN)/python -m bench incidents $(INCIDENTS_ARGS)

pythons: $(VENV)/developing $(VENV)/tools ## Holds the engine and two rehearsals to every other Python of this machine
	@$(BIN)/python tools/pythons.py

packages: $(VENV)/installed $(VENV)/tools ## Builds wheels and sdists into dist/, and tries them in fresh environments
	@$(BIN)/python tools/packages.py

# pyproject.toml has ranges, the lock what is installed here, for all Pythons and platforms (docs.astral.sh/uv/pip/compile).
# Versions stay as they are as long as they fit; what is for run time alone is the same there and in the whole.
COMPILE = build/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --custom-compile-command 'make lock' pyproject.toml kubetwin/pyproject.toml --group build

lock: $(VENV)/installed ## Writes the lock anew, from the ranges in pyproject.toml
	@$(BIN)/python -m venv build/uv
	@build/uv/bin/python -m pip --quiet --disable-pip-version-check install --upgrade uv
	@$(COMPILE) --group dev $(LOCK_ARGS) --output-file lock/develop.txt >/dev/null
	@cp lock/develop.txt lock/run.txt
	@$(COMPILE) --output-file lock/run.txt >/dev/null
	@git diff --stat -- lock

upgrade: ## The newest of everything into the lock, then all checks, tests and the demo with it
	@$(MAKE) lock LOCK_ARGS=--upgrade
	@$(MAKE) lint test demo

clean: ## Removes what the other commands made here
	@rm -rf $(VENV) .tools build dist .mypy_cache .ruff_cache .import_linter_cache .hypothesis src/*.egg-info \
		kubetwin/src/*.egg-info kubetwin/build
