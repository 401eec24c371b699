# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN := vgbench-runs/demo
# Tests of one file stay together: they share what is dear to make.
JOBS ?= 2
PYTEST := $(BIN)/pytest -n $(JOBS) --dist loadfile
export OMP_NUM_THREADS ?= 1

.PHONY: demo test check quick install clean

demo: install
	$(BIN)/vgbench run docs/experiments/demo.toml -o $(RUN)

test: check
	$(PYTEST)

quick: check
	$(PYTEST) -m "not slow and not heavy"

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[all,dev]"
	touch $@

clean:
	rm -rf $(VENV) vgbench-runs
