# All that is needed: Python 3.11 or newer with venv, make, git. Everything else goes into .venv, which is
# brought up to date when pyproject.toml changes and left alone otherwise.

.DEFAULT_GOAL := help
.PHONY: help run test check smoke bench soak compat compat-wire compat-rtc picture clean

VENV := .venv
BIN := $(VENV)/bin
NOTEBOOK ?= smoke_tests/notebooks/imperative_output.py
ARGS ?=

# The first Python that is new enough; `make PYTHON=/path/to/python3.12 ...` takes another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)

help:
	@echo 'make run [NOTEBOOK=path]  run a notebook through a real kernel and show it live'
	@echo 'make test                 all checks, then all tests'
	@echo 'make check                format, lint, types'
	@echo 'make smoke                only the tests that run whole notebooks'
	@echo 'make bench                the measurements of benchmarks/'
	@echo 'make soak                 the tests that take minutes'
	@echo 'make compat NOTEBOOKS=dir the notebooks of a folder, in cellwire and in ipykernel'
	@echo 'make compat-wire          ordinary cells in both, and the tests of ipykernel that go over the wire'
	@echo 'make compat-rtc           two pages on a notebook, which execute its cells or let the server do it'
	@echo 'make picture              draw docs/rooms.svg from the imports'
	@echo 'make clean                remove what the others made'

run: $(VENV)/run.stamp
	@$(BIN)/cellwire run '$(NOTEBOOK)' $(ARGS)

test: check
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/dev.stamp
	$(BIN)/ruff format --no-cache --check --quiet
	$(BIN)/ruff check --no-cache --quiet
	$(BIN)/basedpyright
	@# Tests import the package by its name, which no folder has: a link has it for the type checker.
	@mkdir -p build/types && ln -sfn ../.. build/types/cellwire
	$(BIN)/basedpyright --project tests/pyrightconfig.json

smoke: $(VENV)/dev.stamp
	$(BIN)/python -m pytest smoke_tests $(ARGS)

bench: $(VENV)/dev.stamp
	$(BIN)/python benchmarks/run.py $(ARGS)

soak: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m soak $(ARGS)

compat: $(VENV)/dev.stamp
	$(BIN)/python tests/compat/compare.py '$(NOTEBOOKS)' $(ARGS)

compat-wire: $(VENV)/dev.stamp
	$(BIN)/python tests/compat/ordinary.py
	$(BIN)/python tests/compat/wire.py

compat-rtc: $(VENV)/dev.stamp
	$(BIN)/python tests/compat/rtc.py

picture: $(VENV)/run.stamp
	$(BIN)/python docs/draw_rooms.py

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A notebook needs few packages, the tests need many: `make run` does not wait for the latter.
$(VENV)/run.stamp: pyproject.toml
	$(call install,cli)

$(VENV)/dev.stamp: pyproject.toml
	$(call install,dev)
	@touch $(VENV)/run.stamp

define install
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	{ echo 'cellwire needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)' >&2; exit 1; }
	@echo 'Setting up $(VENV) ...'
	@'$(PYTHON)' -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(1)]'
	@touch $@
endef
