# Everything from a fresh clone, with only Python 3.11+ and make. The second time costs nothing.

PYTHON ?= python3
BIN := .venv/bin
GENERATED := autograd_mini/engine.py autograd_mini/value.py autograd_mini/functions.py autograd_mini/compiled/tape_loops.py

# The development install is interpreted, for it follows the source; the compiled build lies beside it.
WITH_COMPILED := PYTHONPATH=$(CURDIR)/build/compiled PYTHONSAFEPATH=1

# Over all cores, so that none waits for a file of long tests.
SPREAD := --numprocesses=auto --dist=worksteal

# A quarter of an hour each, or less; trials.mutants takes an hour and is run by itself.
TRIALS := differential higher_derivatives state_machine threads planted_rules faults groups fuzz soak

.PHONY: demo test lint package bench trials functions tour screenshots

demo: .venv/installed-demo  ## backpropagation through the worked example, with its pictures
	$(BIN)/python demos/worked_example.py

test: .venv/installed-dev build/compiled/installed  ## the tests, on both builds
	$(BIN)/python -m pytest $(SPREAD)
	@$(WITH_COMPILED) $(BIN)/autograd-mini --version
	$(WITH_COMPILED) $(BIN)/pytest $(SPREAD) -m "not one_build"

lint: .venv/installed-dev  ## formatting, rules and types
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

package: .venv/installed-dev  ## build the wheel and the source distribution, and test what they install
	.ci/package

bench: .venv/installed-bench build/compiled/installed  ## speed and memory beside other engines
	PYTHONPATH=tests $(BIN)/python -m benchmarks.engine_speed
	PYTHONPATH=tests $(BIN)/python -m benchmarks.compiled_speed
	PYTHONPATH=tests $(BIN)/python -m benchmarks.scale

trials: .venv/installed-dev .venv/installed-bench build/compiled/installed  ## what is too long for the tests: the figures of docs/trust.md
	for trial in $(TRIALS); do PYTHONPATH=tests $(BIN)/python -m trials.$$trial || exit; done

tour: .venv/installed-dev  ## run demos/tour.ipynb and keep its outputs
	PYTHONPATH=tests $(BIN)/python -m tour

screenshots: .venv/installed-dev  ## the README's pictures of the page; needs Chromium
	PYTHONPATH=tests $(BIN)/python -m screenshots

functions: .venv/installed-dev  ## write the engine's arithmetic, the functions and the methods again from the table in ops.py
	$(BIN)/cog -r $(GENERATED)
	$(BIN)/ruff format $(GENERATED)

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "autograd-mini needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; say which to use: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv

.venv/installed-demo: EXTRAS := svg,precision
.venv/installed-dev: EXTRAS := dev
.venv/installed-bench: EXTRAS := bench
.venv/installed-peers: EXTRAS := peers
.venv/installed-%: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS)]'
	@touch $@

build/compiled/installed: pyproject.toml setup.py build_backend.py engine.h $(wildcard autograd_mini/*.py autograd_mini/*/* nn/*.py) | .venv/installed-dev
	rm -rf build/compiled
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --target build/compiled .
	@touch $@
