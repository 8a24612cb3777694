# SPDX-License-Identifier: Apache-2.0
# Everything for a machine with Python 3.10 to 3.14, make and the package registries; no apt, no ROS.
# On a vehicle the package is built by colcon instead: see README.md.

VENV := .venv
BIN := $(VENV)/bin
OUT ?= out
# Seconds of the drive that `make demo` simulates and plays.
DURATION ?= 20
# Which tests, and anything else for pytest: make test TESTS='test/sensors -x'
TESTS ?=
# The tests of learning/ need torch. auto: only if this machine's registries offer its CPU build;
# yes: in any case (from PyPI about 3 GB of CUDA libraries on Linux); no: leave them out.
LEARNING ?= auto
TORCH = $(shell sed -n 's/^torch==//p' requirements/constraints.txt)

SUPPORTED = import sys, venv; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))
PYTHON ?= $(shell for candidate in python3 python3.11 python3.12 python3.13 python3.14 python3.10; \
	do $$candidate -c '$(SUPPORTED)' 2>/dev/null && { echo $$candidate; break; }; done)

# A sourced ROS or the environment of another virtual environment's ROS wheels would put foreign
# packages and libraries before those of .venv.
unexport PYTHONPATH AMENT_PREFIX_PATH RMW_IMPLEMENTATION _ROS_WHEELS_BOOTSTRAP_COMPLETE
ifneq ($(AMENT_PREFIX_PATH)$(_ROS_WHEELS_BOOTSTRAP_COMPLETE),)
unexport LD_LIBRARY_PATH
endif
export PIP_DISABLE_PIP_VERSION_CHECK := 1
PIP := $(BIN)/python -m pip install --quiet --no-input

.DELETE_ON_ERROR:
.PHONY: help demo test lint clean
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST)
	@echo 'Python: $(or $(PYTHON),none found: PYTHON=/path/to/python3.12 make demo)'

demo: $(VENV)/installed-demo ## simulate a drive, play it through the node, leave video and figures in out/demo
	@$(BIN)/python -m radar_camera_ssl.demo --out $(OUT)/demo --duration $(DURATION)

test: $(VENV)/installed-test $(VENV)/torch-$(LEARNING) ## run the tests
	@cat $(VENV)/torch-$(LEARNING)
	@ROS_PYTHON_CHECK_FIELDS=1 $(BIN)/python -m pytest $(TESTS)

lint: $(VENV)/installed-lint ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy radar_camera_ssl

clean: ## remove .venv, out and what the tools leave behind
	rm -rf $(VENV) $(OUT) build install log .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/created:
	@test -n '$(PYTHON)' || { echo 'No Python 3.10 to 3.14 found: PYTHON=/path/to/python make demo' >&2; exit 2; }
	@echo 'Setting up $(VENV) with $(PYTHON) (once)'
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || $(PYTHON) -m virtualenv --quiet $(VENV) || { \
		echo '$(PYTHON) can make no virtual environment: install its venv module (Debian: python3-venv) or virtualenv' >&2; \
		exit 2; }
	@touch $@

$(VENV)/package: setup.py | $(VENV)/created
	@$(PIP) --no-deps --editable .
	@touch $@

$(VENV)/installed-%: requirements/%.txt $(wildcard requirements/*.txt) | $(VENV)/package
	@echo 'Installing requirements/$*.txt into $(VENV)'
	@$(PIP) --requirement requirements/$*.txt
	@touch $@

$(VENV)/torch-auto: $(VENV)/installed-test requirements/learning.txt
	@if $(BIN)/python -c 'import torch' 2>/dev/null; then echo 'torch is there: the tests of learning/ run.'; \
	elif $(PIP) --only-binary :all: --requirement requirements/learning.txt \
		'torch==$(TORCH)+cpu' >/dev/null 2>&1; \
	then echo 'Installed the CPU build of torch: the tests of learning/ run.'; \
	else echo 'No CPU build of torch $(TORCH) in the registries: the tests of learning/ are skipped (make test LEARNING=yes installs the large one).'; fi > $@

$(VENV)/torch-yes: $(VENV)/installed-test requirements/learning.txt
	@$(PIP) --requirement requirements/learning.txt
	@echo 'torch is installed: the tests of learning/ run.' > $@

$(VENV)/torch-no:
	@echo 'LEARNING=no: the tests of learning/ run only if torch is in $(VENV).' > $@
