# One environment in .venv, made from hashed locks by the first target that needs it. Nothing here needs root.
SHELL := /bin/bash -o pipefail
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV  := .venv
BIN   := $(VENV)/bin
READY := $(VENV)/.ready

# The peers of the benchmarks live apart: nothing of theirs may change what ours runs with.
PEERS := benchmarks/.venv-peers

# So do the tools that make a site of docs/.
DOCS := .venv-docs

# Airflow too: it starts the job, it does not share an environment with it.
AIRFLOW := .venv-airflow

# And MLflow, whose models load ours: its environment finds in ours what it does not bring itself.
MLFLOW := .venv-mlflow

# And Ray, likewise.
RAY := .venv-ray

# Ray binds to every address that it finds: its tests run in a network of their own, with loopback alone.
ALONE = $$(for alone in "unshare --net" "unshare --map-root-user --net"; do $$alone true 2>/dev/null && echo "$$alone" && break; done)

# Without an activated environment: an interpreter of the version that the locks were made for.
PYTHON ?= $(shell command -v python3.11 || command -v python3)

DEMO_DIR ?= demo-market

# Quiet unless something is wrong: TensorFlow greets with a page of notes.
export TF_CPP_MIN_LOG_LEVEL ?= 3

# uv reads no pip configuration. Where pip was told of another index, uv shall use the same one.
INDEX = $${UV_DEFAULT_INDEX:-$${PIP_INDEX_URL:-$$($(BIN)/pip config get global.index-url 2>/dev/null || true)}}
UV    = UV_DEFAULT_INDEX="$(INDEX)" $(BIN)/uv

# Every lock takes the releases of the one before it, so that development, container and GPU run the same code.
COMPILE = $(UV) pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
          --quiet $(if $(UPGRADE),--upgrade)
RESOLVE = $(COMPILE) pyproject.toml --group dev -o requirements-dev.lock \
  && $(COMPILE) pyproject.toml --extra telemetry --extra iceberg --constraints requirements-dev.lock \
       -o requirements.lock \
  && $(COMPILE) pyproject.toml --extra telemetry --extra iceberg --extra gpu --constraints requirements.lock \
       -o requirements-gpu.lock \
  && $(COMPILE) --group build --constraints requirements-dev.lock -o requirements-build.lock \
  && $(COMPILE) --group docs --constraints requirements-dev.lock -o requirements-docs.lock

.PHONY: help demo test kills tables lint format schemas docs image bench bench-quick bench-smoke bench-nights \
        bench-accuracy bench-cluster bench-lock fuzz nights foreign faults audit airflow airflow-lock mlflow mlflow-lock \
        ray ray-lock hadolint page lock lock-check clean

help:  ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY)  ## Make a small marketplace, train on it, score two nights (DEMO_DIR=demo-market)
	$(BIN)/scorer demo --dir $(DEMO_DIR)

test: lint  ## Every check: style, types, layers, tests
	$(BIN)/pytest -n 2

kills: $(READY)  ## 40 runs and 10 trainings killed again and again, 200 races, readers looking on: some 25 minutes
	$(BIN)/python -m tests.faults.kills
	$(BIN)/python -m tests.faults.races
	$(BIN)/python -m tests.faults.trainings

tables: $(READY)  ## Partitions committed to one table by 8 processes, killed again and again: 5 minutes (PARTITIONS=100)
	$(BIN)/python -m tests.faults.tables $${PARTITIONS:-100}

lint: $(READY)  ## Style, types and layers only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)  ## Format the code and mend what can be mended by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

schemas: $(READY)  ## Regenerate what follows from classes: the JSON Schemas and docs/settings.md
	$(BIN)/python -m scorer.run.schemas schemas
	$(BIN)/python -m scorer.run.reference docs/settings.md

docs: $(DOCS)/.ready  ## The pages as a site in site/; fails on a dead link or anchor
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict  # not --quiet: that hides warnings from --strict, too

image: $(READY)  ## Build the Dockerfile without an engine and let it run the demo without rights; needs root
	$(BIN)/python -m tests.container

bench: $(READY) $(PEERS)/.ready  ## Ours beside Keras, Ray, Daft and Spark, both models: 50 minutes on 2 cores
	$(BIN)/python -m benchmarks > /dev/null

bench-quick: $(READY)  ## Ours alone: its parts, the limit, the share reached; about 5 minutes
	$(BIN)/python -m benchmarks quick > /dev/null

bench-smoke: $(READY)  ## Does the harness of the benchmarks work? Its figures mean nothing
	$(BIN)/python -m benchmarks smoke > /dev/null

bench-nights: $(READY)  ## Three nights of one marketplace: cold, changed, unchanged; local and S3. 20 minutes, 25 GB
	for one in nights lookups; do \
	  $(BIN)/python -m benchmarks.$$one > benchmarks/results/$$one.new && \
	  mv benchmarks/results/$$one.new benchmarks/results/$$one.json || exit 1; done

bench-cluster: $(READY) $(RAY)/.ready  ## Two Ray workers beside two cores and Ray Data; how it would grow: half an hour
	$(BIN)/python -m benchmarks.cluster > /dev/null
	$(BIN)/python -m benchmarks.growth > /dev/null

bench-accuracy: $(READY)  ## Errors of every fusion on the demo's market, or on BENCH_LISTINGS=FOLDER: half an hour
	$(BIN)/python -m benchmarks.accuracy > /dev/null

bench-lock: $(READY)  ## Resolve the peers' lock anew; UPGRADE=1 takes newer releases
	$(UV) pip compile --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet \
	  $(if $(UPGRADE),--upgrade) benchmarks/requirements-peers.in -o benchmarks/requirements-peers.lock

fuzz: $(READY)  ## Damaged images, Parquet files and texts by the ten thousand (FUZZ_CASES=20000 FUZZ_SECONDS=1200)
	FUZZ_CASES=$${FUZZ_CASES:-20000} FUZZ_SECONDS=$${FUZZ_SECONDS:-1200} FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-5000} \
	  $(BIN)/pytest -q tests/fuzz tests/intake/test_pixels.py -k "fuzz or damage"

nights: $(READY)  ## A thousand changes at random: does any night take over a stale score? (CHANGES=1000 SEED=7)
	$(BIN)/python -m tests.run.reuse.mutations $${CHANGES:-1000} $${SEED:-7}

airflow: $(READY) $(AIRFLOW)/.ready  ## The DAGs in a real Airflow 3: nights, kills, refusals, backfills; some 5 minutes
	home=$$(mktemp -d) && trap 'rm -rf "$$home"' EXIT && AIRFLOW_HOME="$$home" $(AIRFLOW)/bin/python -m pytest -q \
	  -c /dev/null --rootdir tests/airflow --noconftest -p no:cacheprovider tests/airflow/operators.py
	$(BIN)/python -m tests.airflow.tryout $(AIRFLOW)/bin/airflow

airflow-lock: $(READY)  ## Resolve Airflow's lock anew; UPGRADE=1 takes newer releases
	$(UV) pip compile --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet \
	  $(if $(UPGRADE),--upgrade) requirements-airflow.in -o requirements-airflow.lock

mlflow: $(READY) $(MLFLOW)/.ready  ## A bundle in a real MLflow: registered, loaded by name, held to its signature
	home=$$(mktemp -d) && trap 'rm -rf "$$home"' EXIT && cd "$$home" && $(CURDIR)/$(MLFLOW)/bin/python -m pytest -q \
	  -c /dev/null --rootdir $(CURDIR)/tests/mlflow --noconftest -p no:cacheprovider $(CURDIR)/tests/mlflow/registry.py

mlflow-lock: $(READY)  ## Resolve MLflow's lock anew, with our releases of what both need; UPGRADE=1 takes newer ones
	$(UV) pip compile --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet \
	  $(if $(UPGRADE),--upgrade) --constraints requirements-dev.lock requirements-mlflow.in -o requirements-mlflow.lock

ray: $(READY) $(RAY)/.ready  ## One partition over a Ray cluster that loses workers, nodes and drivers: some 5 minutes
	@test -n "$(ALONE)" || { echo "make ray needs root or user namespaces, for a network of its own" >&2; exit 2; }
	home=$$(mktemp -d) && trap 'rm -rf "$$home"' EXIT && cd "$$home" && PYTHONPATH=$(CURDIR) $(ALONE) \
	  $(CURDIR)/$(RAY)/bin/python -m pytest -q -c /dev/null --rootdir $(CURDIR)/tests/ray --noconftest \
	  -p no:cacheprovider --import-mode=importlib $(CURDIR)/tests/ray/clusters.py

ray-lock: $(READY)  ## Resolve Ray's lock anew, with our releases of what both need; UPGRADE=1 takes newer ones
	$(UV) pip compile --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet \
	  $(if $(UPGRADE),--upgrade) --constraints requirements-dev.lock requirements-ray.in -o requirements-ray.lock

foreign: $(READY)  ## Image files that others collected, through the whole job: SUITE="FOLDER ..."
	$(BIN)/python -m tests.fuzz.foreign $(SUITE)

faults: $(READY)  ## A night on a bad store and one on a dead one, beside a calm one
	$(BIN)/python -m tests.faults.store

audit: $(READY)  ## Known vulnerabilities in what the locks hold; asks a service on the network
	$(BIN)/pip-audit --disable-pip --require-hashes --vulnerability-service osv -r requirements.lock

page: $(READY)  ## The pages of runs in a real Chromium, narrow and wide, light and dark; screenshots in page-shots/
	$(BIN)/pytest -q tests/run/report/browser.py

hadolint: $(READY)  ## Lint the Dockerfile
	$(BIN)/hadolint Dockerfile

lock: $(READY)  ## Resolve the locks anew after a change of pyproject.toml; UPGRADE=1 takes newer releases
	@$(RESOLVE)

lock-check: $(READY)  ## Do the locks still follow from pyproject.toml?
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && cp pyproject.toml *.lock "$$scratch" \
	  && (cd "$$scratch" && ln -s $(CURDIR)/$(VENV) . && $(RESOLVE)) \
	  && for lock in *.lock; do diff "$$lock" "$$scratch/$$lock" \
	    || { echo "$$lock does not follow from pyproject.toml. Run: make lock" >&2; exit 1; }; done

clean:  ## Remove the environment, caches and the demo's output
	rm -rf $(VENV) $(PEERS) $(DOCS) $(AIRFLOW) $(MLFLOW) $(RAY) benchmarks/.work tests/container/.work $(DEMO_DIR) dist site \
	  .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find scorer jobs tests -name __pycache__ -prune -exec rm -rf {} +

# pip fetches uv and hatchling, uv fetches the rest in parallel, hatchling builds this package: every byte is hashed.
# Bytecode is written now: where PYTHONDONTWRITEBYTECODE is set every process would compile TensorFlow anew, for seconds.
$(READY): requirements-dev.lock requirements-build.lock pyproject.toml
	@test -n "$(PYTHON)" && "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Python 3.11 or newer was not found. Name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 2; }
	@echo "Setting $(VENV) up from requirements-dev.lock: about 3 GB, a minute or two."
	@$(BIN)/pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-build.lock
	@$(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements-dev.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

$(AIRFLOW)/.ready: requirements-airflow.lock | $(READY)
	@echo "Setting $(AIRFLOW) up from $<: about 500 MB."
	@"$(PYTHON)" -m venv --clear $(AIRFLOW)
	@$(UV) pip sync --quiet --python $(AIRFLOW)/bin/python --require-hashes $<
	@touch $@

$(MLFLOW)/.ready: requirements-mlflow.lock | $(READY)
	@echo "Setting $(MLFLOW) up from $<: about 150 MB."
	@"$(PYTHON)" -m venv --clear $(MLFLOW)
	@$(UV) pip sync --quiet --python $(MLFLOW)/bin/python --require-hashes $<
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib")); print("$(CURDIR)")' \
	  > $$($(MLFLOW)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/ours.pth
	@touch $@

$(RAY)/.ready: requirements-ray.lock | $(READY)
	@echo "Setting $(RAY) up from $<: about 300 MB."
	@"$(PYTHON)" -m venv --clear $(RAY)
	@$(UV) pip sync --quiet --python $(RAY)/bin/python --require-hashes $<
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib")); print("$(CURDIR)")' \
	  > $$($(RAY)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/ours.pth
	@touch $@

$(DOCS)/.ready: requirements-docs.lock | $(READY)
	@"$(PYTHON)" -m venv --clear $(DOCS)
	@$(UV) pip sync --quiet --python $(DOCS)/bin/python --require-hashes $<
	@touch $@

$(PEERS)/.ready: benchmarks/requirements-peers.lock | $(READY)
	@echo "Setting $(PEERS) up from $<: about 4 GB."
	@"$(PYTHON)" -m venv --clear $(PEERS)
	@$(UV) pip sync --quiet --compile-bytecode --python $(PEERS)/bin/python --require-hashes $<
	@touch $@
