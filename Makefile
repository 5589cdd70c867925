# The two commands: make run, make test. Both may be called again and again.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8501

.PHONY: run test check lint lock demo clean help

help:  ## Say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

run: $(VENV)/.runtime  ## Install what is needed and start the app
	$(BIN)/python -m velovi serve --port $(PORT)

test: lint  ## Check style and types, run all tests and the examples, say what they cover
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --cov --cov-report=term
	$(BIN)/python -m pytest --doctest-modules velovi

check: lint  ## The same in under a minute: style, types, layers and the quick tests
	$(BIN)/python -m pytest -n 2 --quick -m "not slow"

lint: $(VENV)/.development  ## Check style and types; JavaScript's too when npm is here
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@if command -v npm >/dev/null && npm ci --silent; then npm run --silent lint; else \
	  echo "npm or its registry is not here, so the style of the JavaScript was not checked"; fi

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
