# The front door, for people and for machines. `make` alone says what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: simulate help env test test-all lint format protos demo bench bench-secagg bench-paillier bench-training kernel peers bundle

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PROTOS := $(shell find protos -name '*.proto')

help: ## what there is to make
	@echo "First:   make demo     six jurisdictions on this machine, two joint stories, two pictures (no torch, no dev tools)"
	@echo "Then:    make test     everything that a commit must pass, as CI runs it"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Two stamps in one environment: the demo needs the core and the example data, developers need the rest on top.
.venv/.demo: pyproject.toml hatch_build.py
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) -e '.[examples,plot]'
	touch $@

.venv/.dev: pyproject.toml hatch_build.py
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) torch==2.13.0 # first and pinned: an unpinned torch pulls gigabytes of CUDA
	$(PIP) -e '.[dev,examples,train]'
	touch .venv/.demo $@

env: .venv/.dev ## .venv with all tools, torch among them; quick when it is there

demo: .venv/.demo ## the first minute: a small environment, then `federation demo`
	$(BIN)/federation demo

lint: .venv/.dev ## ruff, mypy --strict, the floors, the protos
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/buf lint

test: lint ## lint, then all tests on two cores
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-all: lint ## the same, with the largest tests, which do over many cases what others do over some
	$(BIN)/python -m pytest -n 2 --dist loadfile -m ""

simulate: .venv/.dev ## ten thousand lists of mishaps over real drivers (half an hour)
	SIMULATED=$${SIMULATED:-10000} $(BIN)/python -m pytest -q -s tests/simulation

format: .venv/.dev ## let ruff put the code in shape
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

protos: .venv/.dev ## generate federation/wire/v1 from protos/ (commit what comes out)
	rm -f federation/wire/v1/*_pb2*.py*
	$(BIN)/python -m grpc_tools.protoc -I protos --python_out=. --pyi_out=. --grpc_python_out=. $(PROTOS:protos/%=%)
	$(BIN)/buf lint

bench: .venv/.dev ## every benchmark: ours and the peers in turn, medians and ratios
	for topic in benchmarks/*.py; do $(BIN)/python "$$topic"; done

# Nothing needs them: without them gmpy2 and numpy do the same. Powers need AVX-512 IFMA; lanes compile for any processor.
kernel: ## compile the loops of Paillier and of long vectors (any C compiler); used where they give what gmpy2 and numpy do
	@made=0; \
	$(CC) -O3 -ffp-contract=off -Wall -Wextra -fPIC -shared -o federation/crypto/_lanes.so federation/crypto/lanes.c \
		&& made=1 || echo "no loops for long vectors: numpy does the same"; \
	$(CC) -O3 -funroll-loops -Wall -Wextra -fPIC -shared -o federation/crypto/paillier/_kernel.so federation/crypto/paillier/kernel.c \
		&& made=1 || echo "no loops for Paillier: gmpy2 does the same"; \
	test $$made = 1

# Peers are pinned to other versions of what we need ourselves, so they live apart.
.peers/.stamp: benchmarks/peers/requirements.txt
	test -x .peers/bin/python || $(PYTHON) -m venv .peers
	.peers/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

peers: .peers/.stamp ## .peers with the systems that benchmarks compare with, apart from ours

bench-secagg: .venv/.dev peers ## masked sums: ours, Flower's and TenSEAL's in turn, the limit of the machine, every bar
	$(BIN)/python benchmarks/masked_sum.py --all

bench-paillier: .venv/.dev peers ## Paillier sums: ours, phe and sf-heu in turn, a joint key, every bar
	-$(MAKE) --no-print-directory kernel
	$(BIN)/python benchmarks/paillier.py

bench-training: .venv/.dev peers ## training rounds: ours, the wire limit, Flower and NVFlare in turn, every bar
	-$(MAKE) --no-print-directory kernel
	$(BIN)/python benchmarks/training.py

bundle: .venv/.demo ## dist/federation-bundle.tar.gz, installs with no index; EXTRAS=examples,plot adds extras
	sh scripts/bundle.sh $(BIN)/python dist $(EXTRAS)
