# Every command sets itself up: it needs python3 (3.11 or newer) and pip, nothing else.
#
#   make demo        map real cells onto a reference, write demo/report.html
#   make test        the test suite (make test-slow: the long tests)
#   make test-border test-fuzz test-kills      bad and hostile input row by row, random files, killed writers
#   make test-app    the page in a browser (needs chromium), its API from curl and R
#   make test-container   install lines of deploy/Containerfile in a bare environment (fetches gigabytes)
#   make lint types docs      what else CI checks; .ci/run runs all of it
#   make links       asks every address that the documentation links (needs the internet)
#   make notebooks   runs the tutorials, some minutes
#   make experiments   every experiment of the papers on small cells, under 8 minutes
#   make bench       speed; benchmarks/surgery/ holds those of quality, which need data (see their heads)
#   make references  build the models that come with the package again (make cards: their cards alone)
#   make clean       remove the environment and everything built
#
# Another Python:            make test PYTHON=python3.12 VENV=.venv3.12
# Newest releases instead:   make test CONSTRAINTS=/dev/null VENV=.venv-newest
# On Linux, PyPI's torch brings several GB of CUDA libraries. Without an NVIDIA GPU, let pip find
# PyTorch's CPU build (its installation page names the index):     PIP_EXTRA_INDEX_URL=... make demo

PYTHON ?= python3
VENV = .venv
CONSTRAINTS = constraints.txt
JOBS = 2
PYTEST_ARGS =

BIN := $(VENV)/bin
PYTHON_VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --constraint $(CONSTRAINTS)
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS)

.PHONY: help demo experiments test test-app test-container test-border test-fuzz test-kills test-slow lint types docs links notebooks bench references cards check clean

help:
	@sed -n '/^$$/q; s/^# \{0,1\}//p' Makefile

demo: $(VENV)/package.stamp
	$(BIN)/scarches-plus demo --out demo

test: $(VENV)/test.stamp
	$(PYTEST) $(PYTEST_ARGS)

# The whole table fails if a kind has too few rows. A part of it: make test-border PYTEST_ARGS="-k addresses"
test-border: PYTEST_ARGS = --whole-border
test-border: $(VENV)/test.stamp
	$(PYTEST) -m border tests/border $(PYTEST_ARGS)

test-fuzz: $(VENV)/test.stamp
	$(PYTEST) -m fuzz tests/border $(PYTEST_ARGS)

test-kills: $(VENV)/test.stamp
	$(PYTEST) -m kills tests/border $(PYTEST_ARGS)

# Debian: apt-get install chromium r-base-core r-cran-httr2 r-cran-matrix; tests of what is not there are skipped
test-app: $(VENV)/page.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m app tests/app $(PYTEST_ARGS)

test-container: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m container tests/app $(PYTEST_ARGS)

test-slow: $(VENV)/bench.stamp
	$(PYTEST) -m slow $(PYTEST_ARGS)

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/codespell
	$(BIN)/lint-imports

types: $(VENV)/dev.stamp
	$(BIN)/mypy

docs: $(VENV)/dev.stamp
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

# Links inside the project are a test of the suite: tests/docs/test_links.py
links: $(VENV)/dev.stamp
	$(BIN)/python -m sphinx -q -b linkcheck docs docs/_build/links

# Run the tutorials; the stored outputs stay as they are
notebooks: $(VENV)/dev.stamp
	OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/jupyter execute --timeout=900 tutorials/*.ipynb

experiments: $(VENV)/package.stamp
	OMP_NUM_THREADS=1 $(BIN)/python experiments/all.py --small

bench: $(VENV)/package.stamp
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

references: $(VENV)/package.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore references/build.py

cards: $(VENV)/package.stamp
	$(BIN)/python -W ignore references/cards.py

check:
	.ci/run

clean:
	rm -rf .venv demo docs/_build docs/api/generated docs/tutorials dist .pytest_cache .mypy_cache .ruff_cache

# The environment. A stamp says what is installed; a changed pyproject.toml or constraints file installs again.

# Debian's python3 lacks ensurepip unless python3-venv is installed: the machine's own pip then fills the environment.
$(VENV)/python-$(PYTHON_VERSION).stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, and this is %d.%d. For example: make test PYTHON=python3.12" % sys.version_info[:2])'
	@test ! -e $(BIN)/python || $(BIN)/python -c 'import sys; v = "%d.%d" % sys.version_info[:2]; sys.exit(v != "$(PYTHON_VERSION)" and "$(VENV) holds Python " + v + ", not $(PYTHON_VERSION): remove it, or name another folder: make VENV=.venv$(PYTHON_VERSION) ...")'
	@echo "setting up $(VENV): some minutes, once"
	$(PYTHON) -m venv $(VENV) || { $(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --python $(BIN)/python install pip; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"  # the first to know --group
	@touch $@

$(VENV)/package.stamp: $(VENV)/python-$(PYTHON_VERSION).stamp pyproject.toml $(CONSTRAINTS)
	$(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/test.stamp: $(VENV)/package.stamp
	$(PIP_INSTALL) --quiet --group test
	@touch $@

$(VENV)/bench.stamp: $(VENV)/test.stamp
	$(PIP_INSTALL) --quiet --group bench
	@touch $@

$(VENV)/page.stamp: $(VENV)/test.stamp
	$(PIP_INSTALL) --quiet --group page
	@touch $@

$(VENV)/dev.stamp: $(VENV)/test.stamp
	$(PIP_INSTALL) --quiet --group dev --group doc
	@touch $@
