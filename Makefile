# `make demo` and `make test` are all that a newcomer needs; both install what they need.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
INSTALLED_FOR_TESTS := .venv/installed-for-tests
PYTEST := $(BIN)/python -m pytest -q
# Virtual machines can be booted by root on Linux alone.
VMS := $(shell [ "$$(id -u)$$(uname)" = 0Linux ] && echo --vm)
# They wait more than they compute.
SIDE_BY_SIDE ?= 2
# Where the demo runs: on this machine alone (loopback), or on Debian VMs (vm: Linux, root).
LAB ?= loopback
PICTURES := hot_deploy-light hot_deploy-dark index-light index-dark live-light live-dark
SLOW := integration or load or vm or browser or airflow or crash
export PYTHON

.PHONY: demo jupyter docs test check lint types unit integration pictures load crash bench nightly clean
.NOTPARALLEL:

demo: $(INSTALLED)  ## an application is replaced on a fleet of its own while requests flow; LAB=vm: on Debian VMs
	@$(BIN)/python -m balbook.lab.needs $(if $(filter vm,$(LAB)),--vm) --install
	@$(BIN)/python -m balbook.lab.demo $(LAB)

jupyter: $(INSTALLED)  ## JupyterLab on the runbooks, with an index of what is deployed; after `balbook lab up` a playground
	@$(BIN)/balbook jupyter

test: check integration load  ## everything

check: lint types unit  ## style, types and the tests that need no server

lint: $(INSTALLED_FOR_TESTS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/balbook check

types: $(INSTALLED_FOR_TESTS)
	$(BIN)/mypy --strict balbook tests/typing templates/runbook
	$(BIN)/pyright --pythonpath $(BIN)/python

unit: $(INSTALLED_FOR_TESTS)
	$(PYTEST) -n auto --dist worksteal -m "not ($(SLOW))"

integration: $(INSTALLED_FOR_TESTS)  ## tests with real servers, and the runbooks in plan mode
	@$(BIN)/python -m balbook.lab.needs --balancers --browser $(VMS) --install
	$(PYTEST) --durations=15 -n $(SIDE_BY_SIDE) --dist loadgroup --no-loadscope-reorder -m "(integration or vm or browser or airflow) and not (load or crash)"

pictures: $(INSTALLED_FOR_TESTS)  ## the pictures of the README and of docs, as the tests in Chromium see them; commit them by hand
	$(PYTEST) -m browser
	cp $(PICTURES:%=.cache/screenshots/%.png) .github/readme/

load: $(INSTALLED_FOR_TESTS)  ## measures under load, so nothing else runs meanwhile
	$(PYTEST) --durations=15 -m "load and not crash"

crash: $(INSTALLED_FOR_TESTS)  ## what takes too long for `test`: runs killed after every single event of their journals, 20 VMs, three minutes in a browser
	$(PYTEST) -n $(SIDE_BY_SIDE) -m crash

bench: $(INSTALLED_FOR_TESTS)  ## each prints its table and says which row it missed
	@status=0; for bench in tests/bench/[a-z]*.py; do echo "== $$bench"; $(BIN)/python $$bench || status=1; done; exit $$status

nightly: crash bench  ## what is too long for `test`, and the benchmarks

docs: $(INSTALLED_FOR_TESTS)  ## the documentation as a site, in .cache/site
	$(BIN)/python -m mkdocs build --strict

clean:  ## everything that was made here, but the records
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find balbook tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml .ci/install
	@sh .ci/install
	@touch $@

$(INSTALLED_FOR_TESTS): pyproject.toml .ci/install
	@sh .ci/install test
	@touch $(INSTALLED) $@
