# `make demo` and `make test` do all of their set-up themselves. `make help` lists the rest.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/elder-router
READY := $(VENV)/.ready
LAB := $(BIN)/python -m lab

.PHONY: help setup system test-system prompts demo run test lint types fuzz bench bench-registry check lock schema readme screenshots speech-report clean

help:
	@echo 'make demo    start a real call centre on this machine, place real calls, show where they went'
	@echo 'make test    all tests, on real Asterisk, Redis and SIP'
	@echo 'make run     the same call centre, until Ctrl-C, to call with a softphone'
	@echo 'make setup   only the set-up, which the others do too'
	@echo 'make check   what CI runs: lint, types, tests'
	@echo 'make bench   measure; rewrites docs/benchmarks.md, or with SECTION=rules only that part of it'
	@echo 'make bench-registry  measure the registry, at CALLERS="1000000 10000000" unless said otherwise; 200000000 takes'
	@echo '             some 40 minutes, 12 GB of disk in BENCH_DIR (/tmp), 12 GB of memory; PARTS=lookups for a part of it'
	@echo 'make schema  what is generated from the models: the JSON Schemas, docs/rules.md'
	@echo 'make speech-report  measure what callers hear on real calls; rewrites docs/speech.md, fails out of bounds'
	@echo 'make readme  walk through the README once more, and put there what the commands print'
	@echo 'make screenshots  the pictures in docs/images, of the real pages and commands'
	@echo 'make fuzz    the property tests, for longer'
	@echo 'make lock    lock the newest versions of all Python packages'

setup: test-system prompts

system:
	@lab/setup.sh

test-system:
	@lab/setup.sh tests

# The Python packages, exactly as locked; made anew when the lock changes.
$(READY): requirements/dev.txt pyproject.toml | system
	@printf '\033[1m==>\033[0m installing the Python packages into $(VENV) (as locked in requirements/)\n'
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "set-up stopped: Python 3.11 or later is needed, this is $$($(PYTHON) -V); name another with make PYTHON=…" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
	  echo 'set-up stopped: the virtual environment could not be made; is python3-venv installed?' >&2; exit 1; }
	@$(BIN)/python -m pip install --disable-pip-version-check --require-hashes --progress-bar on -q -r requirements/dev.txt || { \
	  echo 'set-up stopped: the Python packages could not be installed; is there a network?' >&2; exit 1; }
	@$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps --no-build-isolation -e .
	@touch $@

prompts: system $(READY)
	@$(LAB) prompts

demo: prompts
	@$(LAB) demo

run: prompts
	@$(LAB) run

# PYTHONASYNCIODEBUG finds what blocks the loop or is never awaited. Four at once: calls are waited for more than
# worked on.
test: test-system prompts
	@PYTHONASYNCIODEBUG=1 $(BIN)/python -m pytest -n 4 --dist worksteal

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(READY)
	@$(BIN)/mypy

fuzz: $(READY)
	@HYPOTHESIS_PROFILE=long $(BIN)/python -m pytest tests/fuzz -q --timeout 1200

bench: prompts
	@$(BIN)/python -m bench $(addprefix --only ,$(SECTION))

# Quietly: the importer's and Redis's own words come only when something went wrong.
bench-registry: $(READY)
	@BENCH_DIR='$(BENCH_DIR)' $(BIN)/python -m bench.registry $(if $(CALLERS),--callers $(CALLERS)) $(if $(PARTS),--parts $(PARTS))

check: lint types test

schema: $(READY)
	@$(LAB) schema

readme: $(READY)
	@$(LAB) walk

screenshots: test-system $(READY)
	@$(LAB) screenshots

speech-report: prompts
	@$(LAB) speech-report

# Needs uv. Index addresses stay out of the locks.
lock:
	uv pip compile pyproject.toml --upgrade --universal --python-version 3.11 --generate-hashes --no-header -o requirements/run.txt
	uv pip compile pyproject.toml --group dev --upgrade --universal --python-version 3.11 --generate-hashes --no-header -c requirements/run.txt -o requirements/dev.txt

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
