# Everything a contributor runs. `make` alone lists it. Needs make and Python 3.11 or newer; the rest is set up here.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo "$$p" && exit; done; echo python3)
VENV ?= .venv
HOST ?= 127.0.0.1
PORT ?= 5000
ARGS ?=
# test processes; most tests wait more than they compute
JOBS ?= 3

PY := $(VENV)/bin/python
RUNTIME := $(VENV)/.runtime
TOOLS := $(VENV)/.tools
LOWEST := .venv-lowest

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test test-full test-newest test-lowest coverage fuzz soak robustness check docs format clients-table screenshot bench bench-quick bench-fanout clean

help: ## list what can be made
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# -- set-up -----------------------------------------------------------------------------------------------------------

$(RUNTIME): pyproject.toml scripts/setup_venv.py
	@"$(PYTHON)" scripts/setup_venv.py $(VENV) runtime
	@touch $@

$(TOOLS): $(RUNTIME)
	@"$(PYTHON)" scripts/setup_venv.py $(VENV) tools
	@touch $@

setup: $(TOOLS) ## make .venv with everything, the npm packages and Chromium; quick when nothing changed
	@$(PY) -m scripts.setup_tests

# -- use --------------------------------------------------------------------------------------------------------------

demo: $(RUNTIME) ## serve the demo on http://127.0.0.1:5000 (PORT=, HOST=)
	@$(PY) -m truesocket.cli demo --host $(HOST) --port $(PORT) $(ARGS)

# -- tests ------------------------------------------------------------------------------------------------------------

test: setup ## run the tests with reduced counts (ARGS="tests/codec -k frames")
	@$(PY) -m pytest -n $(JOBS) --dist loadfile $(ARGS)

test-newest: test ## the same: .venv holds the newest versions of everything

test-full: setup ## run every test as it is written; takes longer
	@TRUESOCKET_TEST_FULL=1 $(PY) -m pytest -n $(JOBS) --dist loadfile $(ARGS)

coverage: setup ## run the tests and show which lines and branches they never reached
	@$(PY) -m pytest --cov --cov-report=term-missing:skip-covered $(ARGS)

$(LOWEST)/.tools: pyproject.toml requirements/lowest.txt scripts/setup_venv.py
	@"$(PYTHON)" scripts/setup_venv.py $(LOWEST) lowest
	@touch $@

test-lowest: setup $(LOWEST)/.tools ## run the tests on the lowest version of every dependency
	@$(LOWEST)/bin/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

$(VENV)/.fuzz: $(TOOLS)
	@$(PY) -m pip --disable-pip-version-check --quiet install --group fuzz
	@touch $@

$(VENV)/.bench: $(TOOLS)
	@$(PY) -m pip --disable-pip-version-check --quiet install --group bench
	@touch $@

$(VENV)/.plots: $(TOOLS)
	@$(PY) -m pip --disable-pip-version-check --quiet install --group plots
	@touch $@

fuzz: $(VENV)/.fuzz ## let atheris look for bytes that break a codec or a session (SECONDS=60 for each; ARGS="frames heads")
	@$(PY) -m scripts.fuzz --seconds $(or $(SECONDS),60) $(ARGS)

soak: $(VENV)/.plots ## churn and faults for SECONDS=600; fails where anything grows, draws test-results/soak.png
	@$(PY) -m benchmarks.soak --seconds $(or $(SECONDS),600) $(ARGS)

robustness: setup fuzz soak ## tests/faults in full, fuzz and soak; writes docs/reference/robustness.md
	@TRUESOCKET_TEST_FULL=1 $(PY) -m pytest -q tests/faults
	@$(PY) -m scripts.robustness

# -- care -------------------------------------------------------------------------------------------------------------

check: $(TOOLS) ## style, types, layers, lock files
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports
	@$(PY) -m scripts.check_locks

docs: $(TOOLS) ## build the documentation into build/docs; warnings are errors
	@$(PY) -m sphinx --builder html --fail-on-warning --keep-going --quiet --jobs auto docs build/docs
	@echo "built: build/docs/index.html"

format: $(TOOLS) ## write the style that `make check` asks for
	@$(VENV)/bin/ruff check --fix-only --quiet .
	@$(VENV)/bin/ruff format .

clients-table: setup ## run every client through every door, write docs/reference/clients.md
	@TRUESOCKET_TEST_FULL=1 TRUESOCKET_CLIENTS_TABLE=1 $(PY) -m pytest -q tests/clients/test_clients.py

screenshot: setup ## take the picture of the demo that the README shows
	@$(PY) -m scripts.screenshot docs/images/demo.png

bench: $(VENV)/.bench ## measure everything beside the floor and the peers (about an hour); writes benchmarks/RESULTS.md
	@$(PY) -m benchmarks.run $(ARGS)

bench-quick: $(VENV)/.bench ## the same in about six minutes, for the goals; fails where one is missed (test-results/bench-quick)
	@$(PY) -m benchmarks.run --quick $(ARGS)

bench-fanout: $(VENV)/.bench ## fan out to 1,000 WebSocket clients beside the floor; server CPU per delivery
	@$(PY) -m benchmarks.run --only "fan-out 1000 100" --who floor truesocket-flask $(ARGS)

clean: ## remove what setup and the tests made
	rm -rf $(VENV) $(LOWEST) tests/clients/node_modules benchmarks/.peers test-results build dist htmlcov .coverage .coverage.*
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests examples scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
