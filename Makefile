# make            set up and run the quick default: results/report.html
# make first      set up and draw the paper's figure 5 from the policies in pretrained/
# make test       set up and run the fast tests;  make test-long: the long ones too
# make lint       every check of style and structure
# make bench      benchmark tables;  make docs: the site in site/
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CORES ?= all
# One test file a process: what a file prepares is prepared once.
PARALLEL ?= -n logical --maxprocesses 4 --dist loadfile
READY := $(VENV)/.ready
ifneq ($(words $(VENV)),1)
$(error VENV: expected a path without blanks, got '$(VENV)'; a relative one such as .venv works in any folder)
endif

.PHONY: all run first test test-long test-slurm lint format lock bench docs clean

all: run

run: $(READY)
	$(BIN)/python -m rtc run --cores $(CORES)

first: $(READY)
	$(BIN)/python -m rtc run results/figures/figure_5.png --cores $(CORES) --configfile config/pretrained.yaml

test: $(READY)
	$(BIN)/python -m pytest $(PARALLEL)

test-long: $(READY)
	$(BIN)/python -m pytest --long

test-slurm: $(READY)
	$(BIN)/python -m pytest -m slurm tests/slurm

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/lint-imports
	$(BIN)/snakemake --lint

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

bench: $(READY)
	-$(BIN)/python -m pip install -q Box2D
	$(BIN)/python benchmarks/run_all.py

docs: $(READY)
	$(BIN)/python -m pip install -q -r docs/requirements.txt
	$(BIN)/mkdocs build --strict

lock: $(READY)
	$(BIN)/python -m pip install -q uv
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --extra dev --extra slurm pyproject.toml -o requirements.lock

# The stamp is written last, so an interrupted installation is taken up again.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --no-deps -e .
	touch $@

clean:
	rm -rf $(VENV) site .pytest_cache .ruff_cache
