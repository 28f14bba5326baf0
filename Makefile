# `make demo` interpolates a clip. `make test` runs all checks and tests. `make test-all` runs them
# on every Python version below that this machine has. Each target sets up its environment itself.

VERSIONS := 3.12 3.13
# The Python version of a new environment; empty for any that fits.
VERSION :=
VENV := .venv
BIN := $(VENV)/bin
# vspipe looks for its Python on the PATH.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: demo test test-all clean

demo: $(VENV)/demo.stamp
	$(BIN)/python tools/demo.py

test: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

# .venv serves for the version that it has; every other version gets an environment of its own.
test-all:
	@for version in $(VERSIONS); do \
	    if ! sh tools/find-python.sh $$version > /dev/null; then continue; fi; \
	    venv=.venv; \
	    [ -e $$venv/bin/python$$version ] || venv=.venv-$$version; \
	    echo "== Python $$version in $$venv"; \
	    $(MAKE) test VENV=$$venv VERSION=$$version || exit 1; \
	done

$(VENV)/demo.stamp: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[video]'
	touch $@

# VapourSynth's wheel has no types for plugins: vsstubs writes them, for the installed plugins, into
# the environment, where mypy finds them.
$(VENV)/test.stamp: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	$(BIN)/vsstubs --quiet
	touch $@

$(BIN)/python:
	python=$$(sh tools/find-python.sh $(VERSION)) && "$$python" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

clean:
	rm -rf .venv .venv-* build dist demo-out *.egg-info
