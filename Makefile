# Needs only make and Python >= 3.11. `make demo` and `make test` set everything up by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STATE := $(CURDIR)/.state
export DAGSTER_HOME := $(STATE)/dagster

.PHONY: demo test dev bench lint lock clean

demo: $(VENV)/.installed
	$(BIN)/video-pipeline demo

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest

dev: $(VENV)/.installed
	@mkdir -p $(DAGSTER_HOME) && cp dagster.yaml $(DAGSTER_HOME)/
	$(BIN)/dagster dev

bench: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/upscale.py --frames 12
	$(BIN)/python benchmarks/memory.py

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

# Newest releases that fit pyproject.toml; commit the result.
lock: $(VENV)/.installed-dev
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --group dev --no-emit-index-url --no-annotate \
	  --output-file requirements.lock pyproject.toml

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "video_pipeline needs Python 3.11, 3.12 or 3.13; set PYTHON=python3.12, for example."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade "pip>=25.1"

# The lock file constrains every version; torch brings what it needs on this machine, CPU or CUDA.
$(VENV)/.installed: pyproject.toml requirements.lock | $(VENV)/bin/python
	@echo "Installing; the first time takes a few minutes."
	$(BIN)/pip install --quiet --constraint requirements.lock --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install --quiet --constraint requirements.lock --group dev
	@touch $@

clean:
	rm -rf $(VENV) $(STATE)
