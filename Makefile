# Every target makes its own .venv first, from the lock alone; the second time it starts at once.
# Needs nothing but python3 >= 3.11 (with its venv module) and the package index.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LINT := $(VENV)/.lint-installed
COMPILED := $(VENV)/.compiled
SOURCES := $(shell find wdm harness protocols -name '*.py')
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
# With all processors, and written even where PYTHONDONTWRITEBYTECODE is set.
COMPILE := $(BIN)/python -m compileall -q -j 0
RESOLVE := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
    --no-header --no-annotate --no-emit-index-url --upgrade --quiet
# Rewriting the assertions of all tests takes each process as long as collecting them: what was rewritten is kept.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest
# Shops wait a lot: three tests at a time fill two cores.
PARALLEL := -n 3 --dist worksteal

# Same interpreter and same files in every line: the parts of a target share no shell state.
.SHELLFLAGS := -eu -c
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help venv demo test test-slow test-brokers test-brokers-slow test-docker test-browser images bench-speed docs lint format lock clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 24

venv: $(COMPILED)  ## make .venv from requirements.lock, with this project as an editable install

$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null 2>&1 || { echo "wdm needs Python 3.11 or newer, and '$(PYTHON)' is not on PATH: install python3, or use make PYTHON=/path/to/python3" >&2; exit 4; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "wdm needs Python 3.11 or newer, '$(PYTHON)' is $$($(PYTHON) -V 2>&1): use make PYTHON=/path/to/a/newer/python3" >&2; exit 4; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "'$(PYTHON)' cannot make a virtual environment: install its venv module (Debian: apt-get install python3-venv)" >&2; exit 4; }
	@echo "making $(VENV) (once, under a minute) ..." >&2
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

# Once, and ours whenever they have changed: else every command and every service that starts compiles what it imports anew.
$(COMPILED): $(STAMP) $(SOURCES)
	@$(COMPILE) $(VENV)/lib wdm harness protocols
	@touch $(COMPILED)

$(LINT): $(STAMP) requirements-lint.lock
	@$(PIP) --require-hashes -r requirements-lint.lock
	@touch $(LINT)

demo: $(COMPILED)  ## two-phase commit survives the crash of each of its nodes, in under 2 minutes
	@$(BIN)/wdm demo

test: $(COMPILED)  ## the tests, in about 2 minutes
	@$(PYTEST) $(PARALLEL)

test-slow: $(COMPILED)  ## the slow tests: more kills, more instances, more lock policies
	@$(PYTEST) $(PARALLEL) -m "slow and not docker and not broker and not browser"

test-brokers: $(COMPILED)  ## the tests over brokers; a missing broker is a skip with a reason
	@$(PYTEST) -n 2 --dist loadfile -m "broker and not slow and not docker"

test-brokers-slow: $(COMPILED)  ## the slow tests over brokers: pressure, long outages, a thousand checkouts at once
	@$(PYTEST) -n 2 --dist loadfile -m "broker and slow and not docker"

test-docker: $(COMPILED)  ## the tests in containers; a missing engine is a skip with a reason
	@$(PYTEST) -n 2 --dist loadfile -m "docker and not slow"

test-browser: $(COMPILED)  ## the pages in headless Chromium; a missing browser is a skip with a reason
	@$(PYTEST) -n 0 -m "browser and not slow"

images: $(COMPILED)  ## build the images of the docker runtime, without a registry
	@$(BIN)/wdm images build --offline

bench-speed: $(COMPILED)  ## the speed of checkouts beside a bare service, and the distribution of the time (about 7 minutes on 2 cores)
	@$(BIN)/python -m benchmarks.speed

docs: $(COMPILED)  ## write docs/ablations.md: one ablation for each safeguard (long)
	@$(BIN)/python -m harness.chaos.ablations > docs/ablations.md.part
	@mv docs/ablations.md.part docs/ablations.md

lint: $(LINT)  ## style, types, and the rules of the architecture
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(LINT)  ## format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock:  ## resolve requirements.lock (needs uv: pip install uv)
	@$(RESOLVE) --group build --group test --output-file requirements.lock
	@$(RESOLVE) --group dev --constraints requirements.lock --output-file requirements-lint.lock
	@$(RESOLVE:pyproject.toml=containers/service.in) --constraints requirements.lock --output-file containers/service.lock
	@$(RESOLVE) --constraints requirements.lock --output-file containers/wdm.lock
	@$(RESOLVE:pyproject.toml=containers/build.in) --constraints requirements.lock --output-file containers/build.lock

clean:  ## stop deployments, and remove the files of all targets
	@if [ -x $(BIN)/wdm ]; then $(BIN)/wdm --quiet down >/dev/null 2>&1 || true; fi
	@rm -rf $(VENV) .wdm .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
