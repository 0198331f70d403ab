# Two commands that need nothing beforehand but Python: make demo, make test.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
GO_ON = $(if $(wildcard runs/demo/config.yaml),--resume)

# Of PyTorch its wheel for CPUs: the one that PyPI has for Linux brings gigabytes for GPUs.
TORCH := $(if $(filter Linux,$(shell uname)),torch==2.13.0+cpu,torch>=2.13)
TORCH_INDEX := https://download.pytorch.org/whl/cpu

# What five minutes hold, as the rates fall until the last step: about half without AVX-512.
DEMO_STEPS := $(if $(shell grep -m1 avx512 /proc/cpuinfo 2>/dev/null),7000,3500)

.PHONY: demo test test-all test-arm test-addons litert-js lint

demo: $(INSTALLED)
	$(BIN)/python train.py --config configs/paired_shapes.yaml --run-dir runs/demo $(GO_ON) \
		--set train.steps=$(DEMO_STEPS)
	$(BIN)/keras-sagan evaluate runs/demo
	$(BIN)/python -m export runs/demo --overwrite
	@echo "Pictures: runs/demo/samples; what attention looks at: runs/demo/attention"

# Two files at a time, each in one thread: what a file makes once is made once. In the order of
# their names, in which the last ones are short.
PYTEST = TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 $(BIN)/python -m pytest -n 2 \
	--dist loadfile --no-loadscope-reorder

test: $(INSTALLED)
	$(PYTEST) -m 'not slow'

test-all: $(INSTALLED)
	$(PYTEST)

# For the examples of web and Node.js, and their tests, the first of which need Chromium too.
litert-js:
	npm install --silent --no-package-lock --prefix export/examples/web
	npm install --silent --no-package-lock --prefix export/examples/node

# On 64-bit Arm, emulated: needs mmdebstrap too, and unpacks what else it needs in .arm.
test-arm: $(INSTALLED) .arm
	$(BIN)/python -m pytest -m arm -rsP tests/export/test_arm.py

.arm: tests/export/arm_root.sh $(INSTALLED)
	tests/export/arm_root.sh $@ $(BIN)/python

# Against TensorFlow Addons, whose last release needs TensorFlow 2.15, and that Python 3.11. On Linux
# the wheel for CPUs, half as large.
OLD_TENSORFLOW := tensorflow$(if $(filter Linux,$(shell uname)),-cpu)==2.15.*

test-addons: $(INSTALLED) .venv-addons/installed
	$(BIN)/python -m pytest -m addons -v tests/addons/test_addons.py

.venv-addons/installed:
	@command -v python3.11 >/dev/null \
		|| { echo "make test-addons needs python3.11, which is not here"; exit 1; }
	python3.11 -m venv .venv-addons
	.venv-addons/bin/python -m pip install --quiet '$(OLD_TENSORFLOW)' 'tensorflow-addons==0.23.*'
	touch $@

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# In the clone, again whenever the dependencies change.
$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --retries 1 --extra-index-url $(TORCH_INDEX) '$(TORCH)' \
		|| echo "No wheel of PyTorch for CPUs is to be had here: its tests will be skipped."
	touch $@
