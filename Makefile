# Needs only make and Python >= 3.11. `make demo` and `make test` set everything up by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STATE := $(CURDIR)/.state
PORT ?= 3000
# A worker a core, four at most: each has a Postgres, sandboxes and a state folder of its own. Files stay whole, for what
# their tests share is costly, and keep the order that conftest.py gives them.
WORKERS := --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder
export DAGSTER_HOME := $(STATE)/dagster

.PHONY: demo test coverage dev bench bench-upscale bench-reference-env lint lint-format lint-rules lint-types \
  lint-layers hooks lock clean

demo: $(VENV)/.installed
	$(BIN)/video-pipeline demo

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest $(WORKERS)

# Branches that the tests' own processes take; a figure to look at, not a gate. Apart from `make test`, for on Python 3.11
# counting them costs 73 % more processor time.
coverage: $(VENV)/.installed-dev
	$(BIN)/python -m pytest $(WORKERS) --cov=video_pipeline --cov-branch --cov-report=term:skip-covered

dev: $(VENV)/.installed
	@mkdir -p $(DAGSTER_HOME) && cp dagster.yaml $(DAGSTER_HOME)/
	@$(BIN)/video-pipeline dev --port $(PORT)

# A quarter of an hour; `make bench-upscale` measures in earnest.
bench: $(VENV)/.installed-bench
	$(BIN)/python benchmarks/upscale.py --quick
	$(BIN)/python benchmarks/upscale_memory.py --quick
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python -m benchmarks.intake_fuzz
	$(BIN)/python benchmarks/review_scale.py
	$(BIN)/python -m benchmarks.first_clip
	$(BIN)/python -m benchmarks.media_fuzz --quick
	$(BIN)/python -m benchmarks.drift --quick
	$(BIN)/python -m benchmarks.breaker --quick
	$(BIN)/python -m benchmarks.refusals --quick
	$(BIN)/python -m benchmarks.learning --quick
	$(BIN)/python -m benchmarks.engine --quick
	$(BIN)/python -m benchmarks.day --quick
	$(BIN)/python -m benchmarks.week --quick
	$(BIN)/python -m benchmarks.month --days 5

bench-upscale: $(VENV)/.installed-bench
	$(BIN)/python benchmarks/upscale.py
	$(BIN)/python benchmarks/upscale_memory.py

# RealESRGANer with a torch and a torchvision that fit it: an environment of 6 GB for `make bench-upscale` to find. The
# pipeline is in it too, with another torch than its own, so that both engines' pictures are compared there.
bench-reference-env:
	$(PYTHON) -m venv .venv-reference
	.venv-reference/bin/pip install --quiet --editable . pytest pytest-timeout
	.venv-reference/bin/pip install --quiet --requirement benchmarks/reference-requirements.txt
	.venv-reference/bin/python -m pytest --noconftest video_pipeline_tests/upscaling/compute/test_reference.py

# What CI and the commit hooks (.pre-commit-config.yaml) check alike.
lint: lint-format lint-rules lint-types lint-layers

lint-format: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .

lint-rules: $(VENV)/.installed-dev
	$(BIN)/ruff check .

lint-types: $(VENV)/.installed-dev
	$(BIN)/pyright

lint-layers: $(VENV)/.installed-dev
	$(BIN)/lint-imports

# From now on git runs the hooks at each commit. They are local: nothing is fetched.
hooks: $(VENV)/.installed-dev
	$(BIN)/pre-commit install

# Newest releases that fit pyproject.toml; commit the result.
lock: $(VENV)/.installed-dev
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --group dev --group bench --no-emit-index-url --no-annotate \
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

$(VENV)/.installed-bench: $(VENV)/.installed-dev
	$(BIN)/pip install --quiet --constraint requirements.lock --group bench
	@touch $@

clean:
	rm -rf $(VENV) .venv-reference $(STATE)
