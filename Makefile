# `make demo` and `make test` are all that a newcomer needs; both install what they need.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
INSTALLED_FOR_TESTS := .venv/installed-for-tests
PYTEST := $(BIN)/python -m pytest -q
# Virtual machines can be booted by root on Linux alone.
VMS := $(shell [ "$$(id -u)$$(uname)" = 0Linux ] && echo --vm)
SLOW := integration or load or vm or browser or airflow or crash
export PYTHON

.PHONY: demo test check lint types unit integration load crash bench clean
.NOTPARALLEL:

demo: $(INSTALLED)  ## an application is replaced on a fleet of its own while requests flow
	@$(BIN)/python -m balbook.lab.needs --install
	@$(BIN)/python -m balbook.lab.demo

test: check integration load  ## everything

check: lint types unit  ## style, types and the tests that need no server

lint: $(INSTALLED_FOR_TESTS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/balbook check

types: $(INSTALLED_FOR_TESTS)
	$(BIN)/mypy --strict balbook

unit: $(INSTALLED_FOR_TESTS)
	$(PYTEST) -n auto -m "not ($(SLOW))"

integration: $(INSTALLED_FOR_TESTS)  ## tests with real servers, and the runbooks in plan mode
	@$(BIN)/python -m balbook.lab.needs --balancers $(VMS) --install
	$(PYTEST) -m "(integration or vm or browser or airflow) and not (load or crash)"

load: $(INSTALLED_FOR_TESTS)  ## measures under load, so nothing else runs meanwhile
	$(PYTEST) -m "load and not crash"

crash: $(INSTALLED_FOR_TESTS)  ## runs killed after every single event, instances that hang; long, so not a part of `test`
	$(PYTEST) -m crash

bench: $(INSTALLED_FOR_TESTS)  ## each prints its table and says which row it missed
	@status=0; for bench in tests/bench/[a-z]*.py; do echo "== $$bench"; $(BIN)/python $$bench || status=1; done; exit $$status

clean:  ## everything that was made here, but the records
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find balbook tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml .ci/install
	@sh .ci/install
	@touch $@

$(INSTALLED_FOR_TESTS): pyproject.toml .ci/install
	@sh .ci/install test
	@touch $(INSTALLED) $@
