# What a user needs. `make repro` sets everything up, runs the pipeline and prints the answer; `make test` proves it.
PYTHON ?= python3
BIN := .venv/bin
# stages run `python`, which must be the environment's
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true
# `make check REV=main` compares with that revision, else with the commit before this one
REV ?=

# `make study NAME=cells` runs one study
NAME ?=
# `make paper ROW=adding_100` runs one row of the paper's tables
ROW ?=
# `make predict SEQ="3 0 1 2" STEPS=10` predicts by the best trial; by the environment, so that any symbol may be given
SEQ ?=
STEPS ?= 1
export SEQ STEPS
# `make verify SHARE=0.1` verifies a tenth of all trials; SEED says which
SHARE ?=
SEED ?=
export SHARE SEED

.PHONY: setup repro studies study paper probe report predict serve test faults mutants ray remotes lint reference site ui track check verify bench lock clean clean-cache

repro: setup
	@python -m memory_trials repro

studies: setup
	@python -m memory_trials studies

study: setup
	@python -m memory_trials study "$(NAME)"

paper: setup
	@python -m memory_trials paper "$(ROW)"

probe: setup
	@python -m memory_trials probe

report: setup
	@python -m memory_trials report

predict: setup
	@python -m memory_trials predict --steps "$$STEPS" -- "$$SEQ"

# `make serve PORT=5002` takes another port; BIND=0.0.0.0 lets other machines in (docs/reliability.md says what to put in front of it)
serve: setup
	@python -m memory_trials serve

test: .venv/test-installed
	@python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# inject every fault that we could think of; `python -m tests.fault_battery kills disk` runs some parts
faults: .venv/test-installed
	@python -m tests.fault_battery

# do the tests notice when the library is changed? `python -m tests.mutants files settings` tries some parts
mutants: .venv/test-installed
	@python -m tests.mutants

setup: .venv/installed

# uv installs in half the time that pip takes, and shows its progress; where only pip knows the registry (pip.conf), pip
# does it. Both check hashes and compile to bytecode, which makes every later start quick.
define install
@$(BIN)/uv pip install $$([ -t 2 ] || echo --quiet) --python .venv --compile-bytecode --require-hashes -r $(1) || { \
	echo "uv cannot install $(1), so pip does"; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1); }
endef

.venv/installed: requirements.txt
	@echo "setting up .venv (once, about a minute) ..."
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv .venv
	@awk '/^uv==/,/[^\\]$$/' requirements.txt | $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r /dev/stdin
	$(call install,requirements.txt)
# the command `memory-trials`, which runs the code in this folder
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-index --no-build-isolation -e .
# native.c for this processor, as training would do at its first start; where there is no compiler, training says so
	@$(BIN)/python -m memory_trials.engines.native
# and MLflow's tables, as publishing would make them at its first start
	@$(BIN)/python -m memory_trials.tracking.store
# and Vega, with which `dvc plots show` draws without a network
	@$(BIN)/python -m memory_trials.report.plots
	@touch $@

# what compute.backend: ray needs in addition
ray: .venv/ray-installed
.venv/ray-installed: requirements-ray.txt .venv/installed
	$(call install,requirements-ray.txt)
	@touch $@

# what tests and lint need in addition
.venv/test-installed: requirements-test.txt .venv/installed
	@echo "installing what tests and lint need (once, seconds) ..."
	$(call install,requirements-test.txt)
	@touch $@

# DVC's data remotes on S3 and over SSH
remotes: setup
	$(call install,requirements-remotes.txt)

lint: .venv/test-installed
	@ruff check .
	@ruff format --check .
	@lint-imports --no-logo
	@mypy
	@python -m website.check
	@codespell

# docs/commands.md and docs/settings.md, which follow from the code
reference: setup
	@python -m website.reference

# the site, in site/: docs, results, the API and, if it is there, report.html
site: .venv/site-installed
	@NO_MKDOCS_2_WARNING=1 python -m mkdocs build --clean
	@echo "open site/index.html in a browser; it needs no network"
.venv/site-installed: requirements-site.txt .venv/installed
	$(call install,requirements-site.txt)
	@touch $@

ui: setup
	@python -m memory_trials ui

track: setup
	@python -m memory_trials track

check: setup
	@python -m memory_trials compare $(if $(REV),"$(REV)")

# train recorded trials again and compare them with their digests: for a minute, or all of them: `make verify SHARE=1`
verify: setup
	@python -m memory_trials verify

bench: setup .venv-bench/installed
	@python -m benchmarks.tutorial
	@python -m benchmarks.long_lag
	@python -m benchmarks.beside_jax
	@python -m benchmarks.beside_jax avx2
	@python -m benchmarks.bounds
	@python -m benchmarks.tracking
	@python -m benchmarks.waiting

.venv-bench/installed: benchmarks/requirements.txt
	@$(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r benchmarks/requirements.txt
	@touch $@

lock: setup
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header requirements.in -o requirements.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header -c requirements.txt requirements-test.in -o requirements-test.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header -c requirements.txt requirements-site.in -o requirements-site.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header -c requirements.txt requirements-ray.in -o requirements-ray.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header -c requirements.txt requirements-remotes.in -o requirements-remotes.txt
	cd benchmarks && uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header requirements.in -o requirements.txt

clean:
	rm -rf .venv .venv-bench dvc_plots .pytest_cache .ruff_cache .hypothesis

# remove kept trials, so that they are trained again
clean-cache:
	rm -rf .shards
