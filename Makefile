# `make demo` interpolates a clip, `make test` checks everything; both set up .venv by themselves.

VENV := .venv
BIN := $(VENV)/bin
# vspipe looks for its Python on the PATH.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: demo test clean

demo: $(VENV)/demo.stamp
	$(BIN)/python tools/demo.py

test: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

$(VENV)/demo.stamp: $(BIN)/python setup.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[video]'
	touch $@

$(VENV)/test.stamp: $(BIN)/python setup.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

$(BIN)/python:
	"$$(sh tools/find-python.sh)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

clean:
	rm -rf $(VENV) build dist demo-out *.egg-info
