# Every way to build, check and run Patchtide. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
PYTHON = $(BIN)/python
COMPILE = $(PYTHON) -m piptools compile --quiet --generate-hashes --allow-unsafe --strip-extras \
	--no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options
PINS := requirements/server.txt requirements/build.txt
ROUNDS ?= 200
JOBS ?= 2
# Without compiled modules every process of ours takes half a second longer to start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help up demo check test bench bench-million torture format reference requirements clean agent-package

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: $(VENV)/installed ## Bring up a site here and show which updates this machine lacks (ARGS=--exit)
	$(BIN)/patchtide up $(ARGS)

demo: $(VENV)/installed ## Bring up a site with 10,000 simulated machines, to click through (ARGS=--machines=N)
	$(BIN)/patchtide demo $(ARGS)

check: $(VENV)/tools ## Lint, types, layers and documents, in under a minute
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTHON) -m pytest -q tests/unit/test_documents.py

test: $(VENV)/tools $(VENV)/system-packages ## Run the whole test suite (JOBS=2)
	$(PYTHON) -m pytest -q --numprocesses=$(JOBS) --dist=loadfile --no-loadscope-reorder tests

bench: $(VENV)/tools ## Measure; print each figure beside its budget and its baseline
	$(PYTHON) -m benchmarks

bench-million: $(VENV)/tools ## Measure a first roll-out of a million machines, in slices
	PATCHTIDE_BENCH_MACHINES=1000000 $(PYTHON) -m benchmarks rollout

torture: $(VENV)/tools $(VENV)/system-packages ## Run the long fault loops (ROUNDS=200)
	PATCHTIDE_TORTURE_ROUNDS=$(ROUNDS) $(PYTHON) -m pytest -q --timeout=0 tests/torture

format: $(VENV)/tools ## Rewrite the sources in the house's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

reference: $(VENV)/tools ## Write anew the pages that derive from the operation table
	$(PYTHON) scripts/reference_pages.py

requirements: $(VENV)/tools ## Pin the dependencies anew, with hashes
	$(COMPILE) --upgrade -o requirements/agent.txt pyproject.toml
	$(COMPILE) --upgrade -c requirements/agent.txt --extra server --extra scale \
		-o requirements/server.txt pyproject.toml
	cd requirements && ../$(COMPILE) --upgrade -o build.txt build.in
	cd requirements && ../$(COMPILE) --upgrade -o dev.txt dev.in

agent-package: $(VENV)/tools ## Build the agent's Debian package and put its installer beside it
	mkdir -p dist/wheelhouse
	rm -f dist/wheelhouse/patchtide-*.whl
	$(PYTHON) -m build --wheel --no-isolation --outdir dist/wheelhouse
	$(PYTHON) -m pip download --quiet --no-deps --require-hashes --only-binary :all: \
		--requirement requirements/agent.txt --dest dist/wheelhouse
	$(PYTHON) packaging/build_deb.py --wheelhouse dist/wheelhouse --output dist
	cp packaging/install-agent dist/

clean: ## Remove the virtual environment and every cache
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist

$(VENV)/installed: $(PINS) pyproject.toml scripts/make_venv
	scripts/make_venv $(VENV) $(PINS)
	touch $@

$(VENV)/tools: requirements/dev.txt $(VENV)/installed
	$(PYTHON) -m pip install -qq --require-hashes -r $<
	$(PYTHON) -m pip check
	touch $@

$(VENV)/system-packages: scripts/system_packages | $(VENV)/installed
	scripts/system_packages
	touch $@
