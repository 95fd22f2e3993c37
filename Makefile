# Every command a developer needs. A fresh machine has Python 3.11+, make and git; all else comes from the lock file.
PYTHON ?= python3
UV     := .uv/bin/uv
BIN    := .venv/bin
export UV_PROJECT_ENVIRONMENT := .venv

.PHONY: help setup demo check test bench faults clean
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(UV):
	@echo "setting up uv ..."
	@$(PYTHON) -m venv .uv && .uv/bin/pip install --quiet --disable-pip-version-check "uv>=0.9,<1"

.venv/.ready: $(UV) pyproject.toml uv.lock
	@$(UV) sync --locked --quiet --python $(PYTHON)
	@touch $@

setup: .venv/.ready ## create .venv from uv.lock

demo: setup ## the main job, end to end, on a simulated city
	@$(BIN)/fengsui demo $(ARGS)

check: setup ## format, lint, types, import rules, fast tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/pytest -q -n 2 -m "not broker and not faults" tests

test: setup ## everything CI runs: check, then acceptance on real services
	@$(MAKE) --no-print-directory check
	@scripts/debian_packages.sh libfaketime mosquitto || true
	@$(BIN)/pytest -n 2 --dist loadscope -m "(broker or faults) and not alone" tests
	@$(BIN)/pytest -m alone tests

bench: setup ## throughput and latency beside the peers; writes docs/benchmarks.md
	@$(BIN)/python -m bench

faults: setup ## 50 rounds of faults under load (ROUNDS, SEED): every clue once, none twice
	@scripts/debian_packages.sh libfaketime || true
	@$(BIN)/python -m tests.faults.storm

clean: ## remove environments and caches
	rm -rf .venv .uv .fengsui
