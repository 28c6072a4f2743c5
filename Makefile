# Each target makes its own virtual environment in .venv when there is none.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# CUDA's builds of torch bring the one they need; without, the tests interpret the GPU's kernels.
TRITON := 'triton==3.9.0; sys_platform == "linux" and platform_machine == "x86_64"'
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo install test check run format clean

demo: $(STAMP)  ## sandbox Discord, bot and starter model together, on localhost
	$(BIN)/turbocord demo

install: $(STAMP)  ## the bot and all its optional parts; the command is then .venv/bin/turbocord

# Each of the three takes one thread for tensors: on a few cores, more would only wait for each other.
test: $(STAMP)  ## the whole test suite, fast tests first; many wait for sockets, so three at a time
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadgroup

check: $(STAMP)  ## formatting, lint, types and known vulnerabilities
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python tests/audit.py

run: $(STAMP)  ## the bot on real Discord; needs DISCORD_TOKEN in the environment or .env
	$(BIN)/turbocord run

format: $(STAMP)  ## let ruff rewrite what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## remove the virtual environment and every cache
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

# torch goes first and alone: once its exact build is there, nothing else pulls another.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	$(BIN)/python -c 'import triton' 2>/dev/null || $(BIN)/pip install --quiet $(TRITON)
	touch $@
