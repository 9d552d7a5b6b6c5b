# make demo | test | soak | bench | docs | golden | lock | clean. Each makes its own environment in .venv; nothing outside this folder is
# touched, but for `make test` run by root on Debian, which installs the packages that it names.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

SOAK_S ?= 1800

.PHONY: demo test soak check pytest bench docs golden lock environment packages clean

demo: $(READY)
	@$(BIN)/python -m demo

test: packages $(READY) check pytest

environment: $(READY)

$(READY): requirements.lock pyproject.toml setup.cfg tools/environment.sh
	@PYTHON="$(PYTHON)" tools/environment.sh $(VENV)

packages:
	@tools/packages.sh

check: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/vulture
	$(BIN)/python -m tools.documents --check

pytest: $(READY)
	$(BIN)/pytest -rsfE -n 3 --dist loadfile

# Everything that goes wrong at once, for half an hour.
soak: packages $(READY)
	EDGE_AGENT_SOAK_S=$(SOAK_S) $(BIN)/pytest -rP -o faulthandler_timeout=$$(($(SOAK_S) + 600)) tests/faults/test_everything_at_once.py

bench: $(READY)
	@$(BIN)/python -m benchmarks

docs: $(READY)
	$(BIN)/python -m tools.documents --write

# The only way in which expected rows of tests/replays change; commit them alone.
golden: $(READY)
	$(BIN)/python -m tools.golden

lock: $(READY)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --group test --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --quiet --output-file requirements.lock

clean:
	rm -rf $(VENV) build demo-output .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
