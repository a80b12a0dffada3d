# What a person types. `make` alone lists it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate
NPM_LOCK := npm install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --no-audit --no-fund
FILES := src/cellblock/runtime_files

.PHONY: help demo serve check test bench clean lock

help:  ## list these targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(INSTALLED)  ## see the examples run: builds the runtime, starts a server, stops it again
	@$(BIN)/python examples/demo.py

serve: $(INSTALLED)  ## start a server on port 8080
	@$(BIN)/cellblock serve

check: $(INSTALLED)  ## style, types, import direction, size budget
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest --quiet tests/repository -m 'not slow'

test: $(INSTALLED)  ## all tests; those that need root are named when they are left out
	$(BIN)/cellblock runtime build
	$(BIN)/pytest --numprocesses 2 --dist loadfile

bench: $(INSTALLED)  ## the numbers of docs/specification.md, measured here
	@for script in benchmarks/[a-z]*.py; do echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

lock: $(INSTALLED)  ## make the lock files again from what they are made of
	$(LOCK) pyproject.toml --group dev --output-file requirements.lock
	$(LOCK) $(FILES)/python.in --output-file $(FILES)/python.lock
	cd $(FILES)/node && $(NPM_LOCK)
	cd $(FILES)/kernel && $(NPM_LOCK)
	cd $(FILES)/fonts && $(NPM_LOCK)

clean:  ## remove what was made here; the runtime in the cache directory stays
	rm -rf $(VENV) build dist demo-output .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests examples -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'cellblock needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo '$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }
	@test -x $(BIN)/pip || { echo 'making $(VENV)'; $(PYTHON) -m venv $(VENV); }
	@echo 'installing what requirements.lock names into $(VENV)'
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
