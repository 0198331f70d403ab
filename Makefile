# Two commands that need nothing beforehand but Python: make demo, make test.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: demo test lint

demo: $(INSTALLED)
	$(BIN)/python train.py --config configs/paired_shapes.yaml --run-dir runs/demo
	$(BIN)/python -m export runs/demo
	$(BIN)/python -m keras_sagan.data.paired_shapes runs/demo

test: $(INSTALLED)
	$(BIN)/python -m pytest

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# In the clone, again whenever the dependencies change.
$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@
