# Everything from a fresh clone, with only Python 3.11+ and make. The second time costs nothing.

PYTHON ?= python3
BIN := .venv/bin
GENERATED := autograd_mini/value.py autograd_mini/functions.py

.PHONY: demo test lint bench functions

demo: .venv/installed-demo  ## backpropagation through the worked example, with its pictures
	$(BIN)/python demos/worked_example.py

test: .venv/installed-dev  ## the tests
	$(BIN)/python -m pytest

lint: .venv/installed-dev  ## formatting, rules and types
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

bench: .venv/installed-bench  ## speed and memory beside other engines
	$(BIN)/python tests/benchmarks/engine_speed.py

functions: .venv/installed-dev  ## write the named functions and methods again from the table in ops.py
	$(BIN)/cog -r $(GENERATED)
	$(BIN)/ruff format $(GENERATED)

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "autograd-mini needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; say which to use: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv

.venv/installed-demo: EXTRAS := svg,precision
.venv/installed-dev: EXTRAS := dev
.venv/installed-bench: EXTRAS := bench
.venv/installed-%: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS)]'
	@touch $@
