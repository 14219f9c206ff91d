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
# Shops wait a lot: three tests at a time fill two cores.
PARALLEL := -n 3 --dist worksteal

# Same interpreter and same files in every line: the parts of a target share no shell state.
.SHELLFLAGS := -eu -c
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help venv demo test test-slow test-brokers test-brokers-slow test-docker test-browser images bench-speed docs lint format lock clean

help:  ## show the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 24

venv: $(COMPILED)  ## make .venv from requirements.lock, this project editable in it

$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null 2>&1 || { echo "wdm needs Python 3.11 or newer, and '$(PYTHON)' is not on PATH: install python3, or say make PYTHON=/path/to/python3" >&2; exit 4; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "wdm needs Python 3.11 or newer, '$(PYTHON)' is $$($(PYTHON) -V 2>&1): say make PYTHON=/path/to/a/newer/python3" >&2; exit 4; }
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
	@$(BIN)/python -m pytest $(PARALLEL)

test-slow: $(COMPILED)  ## the rest: more kills, more workers, more lock policies
	@$(BIN)/python -m pytest $(PARALLEL) -m "slow and not docker and not broker and not browser"

test-brokers: $(COMPILED)  ## over brokers; skips, with the reason, those whose broker is not installed
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m "broker and not slow and not docker"

test-brokers-slow: $(COMPILED)  ## the rest of them: pressure, longer outages, a thousand at once
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m "broker and slow and not docker"

test-docker: $(COMPILED)  ## the same shop in containers; skips, with the reason, where they cannot be run
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m "docker and not slow"

test-browser: $(COMPILED)  ## the pages in headless Chromium; skips, with the reason, where there is none
	@$(BIN)/python -m pytest -n 0 -m "browser and not slow"

images: $(COMPILED)  ## the images of the docker runtime, without a registry
	@$(BIN)/wdm images build --offline

bench-speed: $(COMPILED)  ## how fast, beside a bare service, and where the time goes (about 7 minutes on 2 processors)
	@$(BIN)/python -m benchmarks.speed

docs: $(COMPILED)  ## write docs/ablations.md anew: every safeguard taken out once
	@$(BIN)/python -m harness.chaos.ablations > docs/ablations.md.part
	@mv docs/ablations.md.part docs/ablations.md

lint: $(LINT)  ## style, types, and the laws of the architecture
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(LINT)  ## put the code into shape
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock:  ## resolve requirements.lock anew (needs uv: pip install uv)
	@$(RESOLVE) --group build --group test --output-file requirements.lock
	@$(RESOLVE) --group dev --constraints requirements.lock --output-file requirements-lint.lock
	@$(RESOLVE:pyproject.toml=containers/service.in) --constraints requirements.lock --output-file containers/service.lock
	@$(RESOLVE) --constraints requirements.lock --output-file containers/wdm.lock
	@$(RESOLVE:pyproject.toml=containers/build.in) --constraints requirements.lock --output-file containers/build.lock

clean:  ## remove what the targets made (deployments are stopped first)
	@if [ -x $(BIN)/wdm ]; then $(BIN)/wdm --quiet down >/dev/null 2>&1 || true; fi
	@rm -rf $(VENV) .wdm .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
