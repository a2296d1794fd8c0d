# Two commands matter: `make run` and `make test`. Each installs what it needs, once.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Two default OpenMP threads beside one busy process run many times slower than one.
export OMP_NUM_THREADS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Workers for the tests; each trains small models in processes of its own.
TEST_WORKERS ?= 2
# Which tests of score and box; after `make test` those that it leaves out are enough: `slow and not gpu and not api`.
SECURITY_MARKS ?= not gpu and not api
RUN_FLAGS ?=
# What the sample run is; its folder is analysis/sample.
SAMPLE_FLAGS ?= --profile cpu --rng-seed 2 --trials 125

.DEFAULT_GOAL := help
.PHONY: help install run sample figures notebooks test test-all test-guides test-gpu test-security coverage check lint types layers format golden docs bench clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

$(STAMP): setup.py constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt 'setuptools>=69' wheel torch
	$(BIN)/python -m pip install --quiet --no-build-isolation -c constraints.txt -e '.[dev]'
	@touch $@

install: $(STAMP) ## an editable install with the developers' tools, in .venv

run: $(STAMP) ## evolve train.py on real text: no key, no GPU, minutes
	$(BIN)/evolve run $(RUN_FLAGS)

sample: $(STAMP) ## a new sample run for notebooks and tests, in analysis/sample; as long as a run
	rm -rf build/sample
	$(BIN)/evolve run --name sample --runs build/sample $(SAMPLE_FLAGS)
	$(BIN)/python -m analysis.keep_sample build/sample/sample

figures: $(STAMP) notebooks ## everything that is drawn from the sample run: pictures, notebooks, its report in build/
	$(BIN)/python -m analysis.pictures
	$(BIN)/evolve report sample --runs analysis --output build/sample-report.html

notebooks: $(STAMP) ## run the notebooks on the sample run and keep what they show
	$(BIN)/python -m tests.analysis.notebooks

test: $(STAMP) ## the tests but those of the guides, which have a target of their own
	$(BIN)/python -m pytest -n $(TEST_WORKERS) -m "not slow and not gpu and not api" --ignore tests/docs

test-all: $(STAMP) ## adds the slow ones, minutes of real training; property tests draw new examples
	$(BIN)/python -m pytest -n $(TEST_WORKERS) -m "not gpu and not api" --hypothesis-profile new

test-guides: $(STAMP) ## every command of README and guides, in processes of their own
	$(BIN)/python -m pytest tests/docs

test-gpu: $(STAMP) ## those that need a CUDA device
	$(BIN)/python -m pytest -m gpu

test-security: $(STAMP) ## every attack on score and box; whole trees are killed, hostile text is data
	$(BIN)/python -m pytest -n $(TEST_WORKERS) -m "$(SECURITY_MARKS)" tests/adversarial tests/evolution/sandbox tests/evolution/scoring tests/evolution/test_supervisor.py tests/evolution/test_local_executor.py tests/evolution/test_process_tree.py tests/evolution/test_streams.py

coverage: $(STAMP) ## branch coverage of the four packages, child processes included
	rm -f .coverage .coverage.*
	$(BIN)/python -m coverage run -m pytest -n $(TEST_WORKERS) -m "not slow and not gpu and not api"
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

check: lint types layers docs-check ## all checks but the tests

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

layers: $(STAMP)
	$(BIN)/lint-imports

docs-check: $(STAMP)
	$(BIN)/python docs/build.py --check

format: $(STAMP) ## format and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

golden: $(STAMP) ## rewrite the golden files; read the difference in review
	EVORESEARCH_GOLDEN=1 $(BIN)/python -m pytest -m "not slow and not gpu and not api" -k golden

docs: $(STAMP) ## rewrite docs/cli.md and docs/config.md
	$(BIN)/python docs/build.py

bench: $(STAMP) ## the calibrated budget against fixed steps and plain CPU time
	$(BIN)/python -m benchmarks.budget

clean: ## remove caches and builds; runs/ and prepared data stay
	rm -rf build dist *.egg-info .ruff_cache .mypy_cache .import_linter_cache .hypothesis htmlcov .coverage .coverage.*
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
