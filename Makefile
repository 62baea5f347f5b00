# Every target makes .venv on first use and brings it up to date when the pins change.
# Another interpreter: make test PYTHON=python3.12

PYTHON ?= python3
MINUTES ?= 60
JOBS ?= 3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RUN ?= runs/demo
# Compiled kernels and interpreted ones exclude each other in one process.
PTX = TRITON_INTERPRET=0 $(BIN)/python -m pytest tests/kernels -m ptx
DEVICE = $(shell $(BIN)/python -c 'import torch; print("cuda" if torch.cuda.is_available() else "cpu")')

.DEFAULT_GOAL := help
.PHONY: help demo test test-main test-slurm test-ptx-core test-cluster test-ptx test-aot test-crash bench \
  bench-loader bench-training wheels lint docs images clean

help:
	@echo "make demo    three stages on synthetic faces, on the CPU, in minutes: runs/demo"
	@echo "make test    the test suite, in JOBS processes (3); beside it, those on SLURM and PTX"
	@echo "make test-cluster  its tests on real SLURM daemons, with those that take minutes"
	@echo "make test-ptx  the kernels as compiled for sm_80, run on the CPU; make test has most of it"
	@echo "make test-aot  the kernels' machine code for every GPU, against its budgets"
	@echo "make test-crash  an hour of kills, signals, damage and full disks (MINUTES=60): crash.md"
	@echo "make wheels  both distributions, in dist/"
	@echo "make lint    ruff and mypy"
	@echo "make docs    the documentation, strictly: site/index.html"
	@echo "make images  the README's images, from the run RUN ($(RUN))"
	@echo "make bench   tests and timings of the kernels, on the GPU if there is one: benchmarks/REPORT.md"
	@echo "make bench-loader    likewise the loaders: benchmarks/LOADER.md"
	@echo "make bench-training  likewise training steps and training with its loader: benchmarks/STEP.md;"
	@echo "                     DATA=DIR also trains the paper's network, 100 epochs per stage, on .pts files"
	@echo "make clean   remove .venv, builds and caches; runs/ stays"

demo: $(STAMP)
	$(BIN)/sesame demo

# The tests on SLURM wait most of the time, so all parts run side by side.
test: $(STAMP)
	$(MAKE) --no-print-directory --jobs 3 test-main test-slurm test-ptx-core

test-main: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m 'not slurm and not every_architecture'

test-slurm: $(STAMP)
	$(BIN)/python -m pytest tests/slurm -m 'slurm and not cluster_slow'

test-ptx-core: $(STAMP)
	$(PTX) -k "not gradcheck and not registration"

test-cluster: $(STAMP)
	$(BIN)/python -m pytest tests/slurm

test-ptx: $(STAMP)
	$(PTX)

test-aot: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS) tests/kernels/test_aot.py

test-crash: $(STAMP)
	$(BIN)/python -m pytest tests/crash -o timeout=0 --crash-minutes $(MINUTES) --crash-table crash.md
	@cat crash.md

bench: $(STAMP)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e kernels -e '.[bench]'
	$(BIN)/python -m pytest tests/kernels
	$(BIN)/python -m benchmarks.kernels.run --csv benchmarks/results/kernels_$(DEVICE).csv
	$(BIN)/python -m benchmarks.kernels.report

bench-loader: $(STAMP)
	$(BIN)/python -m benchmarks.loader.run --device $(DEVICE) --csv benchmarks/results/loader_$(DEVICE).csv \
	  $(if $(DATA),--data "$(DATA)" --format pts)
	$(BIN)/python -m benchmarks.loader.report

bench-training: $(STAMP)
	$(BIN)/python -m benchmarks.training.train_step --device $(DEVICE)
	$(BIN)/python -m benchmarks.training.end_to_end --device $(DEVICE)
	$(if $(DATA),$(BIN)/python -m benchmarks.training.recipe --data "$(DATA)")
	$(BIN)/python -m benchmarks.training.report

wheels: $(STAMP)
	$(BIN)/python -m hatchling build -t wheel -d dist
	cd kernels && ../$(BIN)/python -m hatchling build -t wheel -d ../dist

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "site/index.html; to search in it as well, run $(BIN)/mkdocs serve"

images: $(STAMP)
	$(BIN)/python docs/generate/make_images.py "$(RUN)"
	$(BIN)/python docs/generate/data_flow.py

clean:
	rm -rf $(VENV) build dist site *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -type d -not -path './runs/*' -prune -exec rm -rf {} +

# The environment has pip once it is whole; the stamp is younger than the pins it was made from.
$(STAMP): pyproject.toml kernels/pyproject.toml constraints.txt
	@command -v $(PYTHON) > /dev/null || { \
	  echo "$(PYTHON) not found: install Python 3.11 or newer, or name it: make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$$($(PYTHON) --version) is too old: Python 3.11 or newer is needed (make PYTHON=...)" >&2; \
	  exit 1; }
	@command -v $${CXX:-c++} > /dev/null || \
	  echo "note: no C++ compiler found; CPUs do not need one, GPUs do (apt-get install g++)" >&2
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || { \
	  echo "could not make a virtual environment: on Debian or Ubuntu, apt-get install python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e kernels -e '.[dev]'
	@touch $@
