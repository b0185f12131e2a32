# The two commands a newcomer needs are `make up` and `make test`. Everything else is under `make help`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STATE  ?= .opsplane
PORT   ?=
ENV    := $(VENV)/.locked

.DEFAULT_GOAL := help
.PHONY: help env up down test check bench faults lock clean

help:  ## show what there is to do
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: $(ENV)  ## create the Python environment from the locked, hashed dependencies

$(ENV): requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "opsplane needs Python 3.11 or newer; try: make env PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

up: $(ENV)  ## start everything and print what to try next (PORT=8090 STATE=.opsplane)
	@$(BIN)/opsplane up --detach --state $(STATE) $(if $(PORT),--port $(PORT))

down: $(ENV)  ## stop everything, keep the data
	@$(BIN)/opsplane down --state $(STATE)

test: $(ENV)  ## run all tests on the embedded engines, on up to four cores
	$(BIN)/python -m pytest -m "not long" -n logical --maxprocesses 4 --dist worksteal

check: $(ENV)  ## lint, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

faults: $(ENV)  ## kill, stop and restart things for long, and print what was lost (nothing)
	$(BIN)/python -m pytest -s -m "long or not long" tests/faults

bench: $(ENV)  ## measure against peers in one run and write benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks.run

lock: $(ENV)  ## refresh requirements/dev.lock
	$(BIN)/uv pip compile pyproject.toml --extra dev --generate-hashes --universal --python-version 3.11 -o requirements/dev.lock

clean:  ## remove the environment and caches, keep the data
	rm -rf $(VENV) .mypy_cache .ruff_cache .import_linter_cache .hypothesis
