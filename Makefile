# What a person types. `make` alone lists it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate
NPM_LOCK := npm install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --no-audit --no-fund
FILES := src/cellblock/runtime/files
FIGURES := build/figures
FUZZ := build/fuzz
FUZZ_TARGETS ?= event_stream damaged_event_stream request signature http_body link forged_agent file_tools
FUZZ_SECONDS ?= 60

CLUSTER_BENCHMARKS := $(wildcard benchmarks/cluster*.py)
measure = for script in $(1); do \
  echo "== $$script"; $(BIN)/python "$$script" --save "$(FIGURES)/$$(basename "$$script" .py).json" || exit 1; done

.PHONY: help demo serve check test cluster bench bench-cluster figures soak clean lock fuzz

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
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder  # files with few tests are no short ones here

cluster: $(INSTALLED)  ## the API's tests against two nodes and two front ends (`make test` runs some of them so)
	$(BIN)/cellblock runtime build
	$(BIN)/pytest --numprocesses 2 --dist loadfile --server cluster tests/conformance

bench: $(INSTALLED)  ## the numbers of docs/specification.md, measured here
	@$(call measure,$(filter-out benchmarks/soak.py benchmarks/fuzz.py $(CLUSTER_BENCHMARKS),$(wildcard benchmarks/[a-z]*.py)))

bench-cluster: $(INSTALLED)  ## those of them that are a cluster's
	@$(call measure,$(CLUSTER_BENCHMARKS))

figures: $(INSTALLED)  ## write what `make bench`, `make bench-cluster` and `make soak` measured into docs/, with the pictures
	@$(BIN)/python benchmarks/_write_specification.py $(FIGURES)/*.json
	@$(BIN)/python benchmarks/_write_performance.py $(FIGURES)

fuzz: $(FUZZ)/.installed  ## FUZZ_SECONDS=60 of guided fuzzing for each of FUZZ_TARGETS; what fails is kept in build/fuzz
	@libraries=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') && for target in $(FUZZ_TARGETS); do \
	  echo "== $$target"; mkdir -p "$(FUZZ)/corpus/$$target"; \
	  PYTHONPATH="$$PWD/src:$$PWD/tests:$$libraries" $(FUZZ)/bin/python tests/fuzz/guided.py "$$target" "$(FUZZ)/corpus/$$target" \
	    -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 \
	    -artifact_prefix="$(FUZZ)/$$target-" || exit 1; \
	done

soak: $(INSTALLED)  ## 1000 sessions of mixed real work, 32 at once, then what they left behind; 5 GB through S3
	@$(BIN)/python benchmarks/soak.py --save $(FIGURES)/soak.json
	@$(BIN)/python benchmarks/s3.py --megabytes 5000 --save $(FIGURES)/s3.json

lock: $(INSTALLED)  ## make the lock files again from what they are made of
	$(LOCK) pyproject.toml --all-extras --group dev --output-file requirements.lock
	$(LOCK) $(FILES)/python.in --output-file $(FILES)/python.lock
	$(LOCK) tests/fuzz/requirements.in --output-file tests/fuzz/requirements.lock
	$(LOCK) benchmarks/peers.in --output-file benchmarks/peers.lock
	cd $(FILES)/node && $(NPM_LOCK)
	cd $(FILES)/kernel && $(NPM_LOCK)
	cd $(FILES)/fonts && $(NPM_LOCK)
	cd tests/conformance/node && $(NPM_LOCK)

clean:  ## remove what was made here; the runtime in the cache directory stays
	rm -rf $(VENV) build dist demo-output .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests examples -name __pycache__ -type d -prune -exec rm -rf {} +

$(FUZZ)/.installed: tests/fuzz/requirements.lock $(INSTALLED)
	@$(BIN)/python -m venv $(FUZZ)
	@$(FUZZ)/bin/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: --requirement tests/fuzz/requirements.lock
	@touch $@

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
