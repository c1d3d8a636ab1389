# make book [PROFILE=smoke|quick|paper]   execute the chapters, build and check the site
# make test                               ruff and pytest
# Both set up .venv first when it is missing or older than requirements.txt.

PROFILE ?= quick
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready

.PHONY: book test lint pair bench doctor clean ANEW

book: $(READY)
	@$(PY) -m implicit_rank book --profile $(PROFILE)

test: lint
	@OMP_NUM_THREADS=1 $(PY) -m pytest -n auto --dist loadfile

lint: $(READY)
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check --quiet .
	@$(PY) -m implicit_rank pair --check

pair: $(READY)
	@$(PY) -m implicit_rank pair

bench: $(READY)
	@for file in tests/benchmarks/bench_*.py; do $(PY) $$file || exit 1; done

doctor: $(READY)
	@$(PY) -m implicit_rank doctor

# A PYTHON that somebody names, on the command line or in the environment, is taken even where .venv was made with another.
WHICH := import sys; print(sys.base_prefix, sys.version)
ifneq ($(origin PYTHON),file)
ifneq ($(shell $(PY) -c '$(WHICH)' 2>/dev/null),$(shell $(PYTHON) -c '$(WHICH)' 2>/dev/null))
$(READY): ANEW
endif
endif

# the stamp is written last: an interrupted installation is taken up again, never taken for a finished one
$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "The book needs Python 3.11 or newer: '$(PYTHON)' is not; try make PYTHON=python3.12 (or another path)." >&2; \
	  exit 1; }
	@rm -f $@
	@echo "Setting up $(VENV) (once; a few minutes)"
	@[ "$$($(PY) -c '$(WHICH)' 2>/dev/null)" = "$$($(PYTHON) -c '$(WHICH)')" ] || rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

clean:
	rm -rf build _build .pytest_cache .ruff_cache
