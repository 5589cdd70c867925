# The two commands: make run, make test. Both may be called again and again.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8501

.PHONY: run test lint lock demo clean help

help:  ## Say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

run: $(VENV)/.runtime  ## Install what is needed and start the app
	$(BIN)/python -m velovi serve --port $(PORT)

test: $(VENV)/.development  ## Install the test tools too, check style and types, run the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

lint: $(VENV)/.development  ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

demo: $(VENV)/.runtime  ## Simulate and train the demo run that comes with the app
	$(BIN)/python -m velovi demo

lock:  ## Make requirements*.txt from the ranges in pyproject.toml (needs uv)
	uv pip compile pyproject.toml --universal --no-header --no-annotate --extra app -o requirements.txt
	uv pip compile pyproject.toml --universal --no-header --no-annotate --extra app --extra dev -c requirements.txt -o requirements-dev.txt

clean:  ## Remove the environment
	rm -rf $(VENV)

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info < (3, 14), "Python 3.11 to 3.13 is needed, this is " + sys.version.split()[0] + "; name another with make run PYTHON=..."'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.runtime: requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

$(VENV)/.development: requirements-dev.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	touch $@ $(VENV)/.runtime
