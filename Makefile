# Every target sets up what it needs: on a fresh machine with Python 3.10 to 3.13, `make demo` is enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Passed to the tests: a folder with MVTec AD's screw in it. Without it those tests are skipped.
export REALNET_EDGE_DATA

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-slow lint format types bench constraints clean

help: ## show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

venv: $(READY) ## make .venv with everything the other targets use

# Done once, and again when what is to be installed changes. uv comes from the package registry into
# the environment itself, so that nothing but Python and make has to be there.
define BOOTSTRAP
test -x $(BIN)/uv || { $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet $(1); }
endef

$(READY): pyproject.toml constraints.txt
	$(call BOOTSTRAP,"$$(grep '^uv==' constraints.txt)")
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[demo,dev]'
	touch $@

# The demo's commands are the user's own; only the category and the folders are given.
DEMO := --category elpv-mono --workspace demo/workspace

demo: $(READY) ## train, build, measure and run on solar cells: about 10 minutes on 2 cores
	$(BIN)/realnet-edge data elpv demo/data
	$(BIN)/realnet-edge train --data demo/data $(DEMO) --preset demo --overwrite
	$(BIN)/realnet-edge build $(DEMO) --precision fp32
	$(BIN)/realnet-edge build $(DEMO) --precision int8
	$(BIN)/realnet-edge bench $(DEMO) || test $$? -eq 3
	rm -rf demo/results.jsonl demo/overlays
	$(BIN)/realnet-edge run $(DEMO) --source 'demo/data/elpv-mono/test/**/*' \
		--out demo/results.jsonl --save demo/overlays
	@echo
	@echo "Report:    demo/workspace/elpv-mono/bench/latest/report.html   open it in a browser"
	@echo "Overlays:  demo/overlays/             a picture for every cell called defective"
	@echo "Verdicts:  demo/results.jsonl         one line a cell"
	@echo "Curves:    demo/workspace/elpv-mono/training-curves.png"
	@echo
	@echo "image AUROC: how well scores separate good from broken cells (50 is chance, 100 perfect)."
	@echo "fps and ms: the engine alone, and end to end from the encoded picture."
	@echo "drift: what each engine's numbers lost against FP32 PyTorch on the same pictures."
	@echo "Four minutes of training show the line at work; the preset \`edge\` is the one to use."

# Two processes of one thread each: the tests' networks are too small to keep two cores busy by themselves.
# A file stays whole, for its tests share what it has trained and exported.
WORKERS ?= 2
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test: $(READY) ## the tests that take seconds
	$(PYTEST) -m "not slow and not gpu"

test-slow: $(READY) ## the tests that train, or install the wheel anew
	$(PYTEST) -m "slow and not gpu"

lint: $(READY) ## style, and what must not stand in a file of the repository
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -q tests/test_repository.py

format: $(READY) ## put the code into the form that lint asks for
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Type checkers know nothing of setuptools' package-dir: show them the package as it is installed.
types: $(READY) ## mypy --strict
	rm -rf .typing/realnet_edge && mkdir -p .typing/realnet_edge
	ln -s $(addprefix ../../,$(wildcard realnet_edge/*) kernels export calibrate) .typing/realnet_edge/
	cd .typing && ../$(BIN)/mypy --config-file ../pyproject.toml --cache-dir ../.mypy_cache

bench: $(READY) ## the benchmarks, into benchmarks/results
	@test -d "$${REALNET_EDGE_DATA:-}/screw" || { \
		echo "make bench needs REALNET_EDGE_DATA=FOLDER, a folder that holds MVTec AD's screw"; exit 2; }
	$(BIN)/python benchmarks/metrics.py --data "$$REALNET_EDGE_DATA" --json benchmarks/results/metrics.json

# One file for every Python the package supports. No header and no index: it must name no machine.
constraints: ## resolve constraints.txt anew
	$(call BOOTSTRAP,uv)
	printf '%s\n' '# Versions that `make venv` installs. Made by `make constraints`.' > $(VENV)/constraints.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --all-extras --no-header --no-annotate \
		--no-emit-index-url --no-emit-find-links pyproject.toml >> $(VENV)/constraints.txt
	mv $(VENV)/constraints.txt constraints.txt

clean: ## remove what was made here, the environment and the demo's workspace included
	rm -rf $(VENV) .typing .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info demo
