# One word per job; every job makes the virtual environment it needs, once.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export VIRTUAL_ENV := $(CURDIR)/.venv
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export DAGSTER_HOME := $(CURDIR)/.dagster_home
export WS_PIPELINE_STORAGE ?= $(CURDIR)/storage
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable
# one process per core, so one thread in each
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist worksteal
FILES := pyproject.toml constraints.txt

.PHONY: help demo demo-text dev test test-fast lint bench clean

help:
	@echo "make demo        run the whole chain on data/digits and print the scores"
	@echo "make demo-text   run it on data/messages: short texts, labeling functions in Python, no votes files"
	@echo "make dev         open the Dagster UI on http://127.0.0.1:3000"
	@echo "make test        run the tests"
	@echo "make test-fast   run them without the slow ones"
	@echo "make lint        check style, types and definitions"
	@echo "make bench       compare speed with Snorkel and with plain loops"
	@echo "make clean       remove the environment, the results and the run history"

demo: $(VENV)/.installed $(DAGSTER_HOME)/dagster.yaml
	@$(BIN)/python -m ws_pipeline data/digits/pipeline.yaml --storage $(WS_PIPELINE_STORAGE)
	@echo "next:     make dev   (the same runs, assets and scores in the Dagster UI)"

demo-text: $(VENV)/.installed $(DAGSTER_HOME)/dagster.yaml
	@$(BIN)/python -m ws_pipeline data/messages/pipeline.yaml --storage $(WS_PIPELINE_STORAGE)/messages
	@echo "next:     edit data/messages/lfs.py and run it again: only what changed is applied"

dev: $(VENV)/.installed $(DAGSTER_HOME)/dagster.yaml
	$(BIN)/dagster dev --workspace workspace.yaml --host 127.0.0.1 --port 3000

test: $(VENV)/.installed-dev
	$(PYTEST)

test-fast: $(VENV)/.installed-dev
	$(PYTEST) -m "not slow"

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/dg check defs

bench: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/label_model.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/label_quality.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/trainer.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/labeling_functions.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/sensors.py
	$(BIN)/python benchmarks/pipeline.py

clean:
	rm -rf $(VENV) storage .dagster_home .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(FILES) | $(BIN)/python
	@echo "installing into $(VENV) ..."
	$(INSTALL) .
	touch $@

$(VENV)/.installed-dev: $(FILES) | $(BIN)/python
	@echo "installing into $(VENV), with what the tests need ..."
	$(INSTALL) '.[dev,bench]'
	touch $@ $(VENV)/.installed

$(DAGSTER_HOME)/dagster.yaml: dagster.yaml
	mkdir -p $(DAGSTER_HOME)
	cp $< $@
