# One environment in .venv, made from hashed locks by the first target that needs it. Nothing here needs root.
SHELL := /bin/bash -o pipefail
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV  := .venv
BIN   := $(VENV)/bin
READY := $(VENV)/.ready

# Without an activated environment: an interpreter of the version that the locks were made for.
PYTHON ?= $(shell command -v python3.11 || command -v python3)

DEMO_DIR ?= demo-market

# Quiet unless something is wrong: TensorFlow greets with a page of notes.
export TF_CPP_MIN_LOG_LEVEL ?= 2

# uv reads no pip configuration. Where pip was told of another index, uv shall use the same one.
INDEX = $${UV_DEFAULT_INDEX:-$${PIP_INDEX_URL:-$$($(BIN)/pip config get global.index-url 2>/dev/null)}}
UV    = index="$(INDEX)"; $${index:+env UV_DEFAULT_INDEX="$$index"} $(BIN)/uv

COMPILE = pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
          --no-header --quiet

.PHONY: help demo test lint format schemas bench lock lock-check hadolint clean

help:  ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY)  ## Make a small marketplace, train on it, score two nights (DEMO_DIR=demo-market)
	$(BIN)/scorer demo --dir $(DEMO_DIR)

test: lint  ## Every check: style, types, layers, tests
	$(BIN)/pytest -n 2

lint: $(READY)  ## Style, types and layers only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)  ## Format the code and mend what can be mended by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

schemas: $(READY)  ## Regenerate the JSON Schemas that follow from classes
	$(BIN)/python -m scorer.contracts

bench: $(READY)  ## Measure the parts and the whole: images a second, CPU milliseconds an image
	$(BIN)/python -m benchmarks

hadolint: $(READY)  ## Lint the Dockerfile
	$(BIN)/hadolint Dockerfile

lock: $(READY)  ## Resolve the locks anew after a change of pyproject.toml; UPGRADE=1 takes newer releases
	$(UV) $(COMPILE) $(if $(UPGRADE),--upgrade) --group dev -o requirements-dev.lock
	$(UV) $(COMPILE) --constraints requirements-dev.lock -o requirements.lock
	$(UV) $(COMPILE) --constraints requirements.lock --extra gpu -o requirements-gpu.lock

lock-check: $(READY)  ## Do the locks still follow from pyproject.toml?
	@$(BIN)/python -m tests.locks

clean:  ## Remove the environment, caches and the demo's output
	rm -rf $(VENV) $(DEMO_DIR) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find scorer jobs tests -name __pycache__ -prune -exec rm -rf {} +

# pip fetches nothing but the hashed uv; uv fetches the rest in parallel. The package itself is installed editable
# and built by the hatchling that is in the lock.
$(READY): requirements-dev.lock requirements-uv.lock pyproject.toml
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed and was not found. Name one: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 2; }
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements-uv.lock requirements-dev.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@
