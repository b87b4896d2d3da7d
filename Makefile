# make run            the app with Azurite, on port 7071 (PORT, TABLE_PORT, MEMORY, RELOAD and LOG: see dev/run)
# make test           the tests; ARGS="-k patch" passes arguments to pytest; FAST=1 leaves out what takes long
# make conformance    the tests of the protocol, and docs/conformance.md from what came out
# make rehearse       Entra's provisioning played against a SCIM endpoint; ARGS="URL TOKEN --html rehearsal.html"
# make bench          measures the app beside its floors, and writes docs/benchmarks.md; ARGS="http --quick"
# make chaos          clients at work while network, table and app fail; ARGS="--minutes 30 --seed 7"
# make check          format, lint and types
# make lock           requirements*.txt from requirements*.in; ARGS=--upgrade or ARGS="--upgrade-package aiohttp"
# make snapshots      infra/snapshots, what a deployment makes, from the templates; needs the Bicep compiler
# make clean          removes what the others made, but for local.settings.json and the data in .azurite
#
# VENV is the virtual environment's folder, PYTHON what it is made from: by default the newest Python that really runs
# (a pyenv shim may exist and not run).

VENV ?= .venv
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	"$$python" -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$python"; break; }; \
	done)

python = $(VENV)/bin/python
installed = $(VENV)/.installed
runnable = $(VENV)/.runnable
azurite = dev/node_modules/.installed

# The Python that the templates deploy (infra/modules/app.bicep), and its system.
deployed = --python-version 3.13 --python-platform x86_64-manylinux_2_28

# Make the virtual environment, if there is none that runs, and install a file of requirements: a dot for each package.
define install
	python='$(PYTHON)'; "$${python:-false}" -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "Python 3.11 or newer with its venv module is needed; set PYTHON to one" >&2; exit 1; }; \
	echo "Installing the packages of $(1) in $(VENV): about a minute the first time" >&2; \
	$(python) -c '' 2>/dev/null || "$$python" -m venv --clear $(VENV); \
	{ $(python) -m pip install --disable-pip-version-check --progress-bar off --no-deps --require-hashes -r $(1) || \
		touch $(VENV)/.failed; } | awk '/^Collecting/ { printf "."; fflush() } END { print "" }' >&2; \
	if [ -e $(VENV)/.failed ]; then rm $(VENV)/.failed; exit 1; fi
	touch $@
endef

.PHONY: run test conformance rehearse bench chaos check lock snapshots clean
.SILENT:
.DEFAULT_GOAL := run

run: $(runnable) $(azurite)
	exec $(python) -m dev.run

test: $(installed) $(azurite)
	exec $(python) -m pytest $(if $(FAST),--fast) $(ARGS)

conformance: $(installed) $(azurite)
	exec $(python) -m dev.conformance

rehearse: $(installed)
	$(python) -m dev.rehearse $(ARGS) || [ $$? -eq 1 ] # what was found is in the report: make has nothing to add

bench: $(installed) $(azurite)
	exec $(python) -m dev.bench --write $(ARGS)

chaos: $(installed) $(azurite)
	exec $(python) -m dev.chaos $(ARGS)

check: $(installed)
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/ruff check
	$(VENV)/bin/mypy

# requirements.txt is for the deployed Python alone: a build on another one must fail, not install what cannot be loaded.
# The others are for any Python from 3.11 on. All have the same versions.
lock: $(installed)
	lock() { UV_CUSTOM_COMPILE_COMMAND="make lock" $(VENV)/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url \
		--no-strip-extras --annotation-style line "$$@"; }; \
	lock --universal --python-version 3.11 requirements-dev.in -o requirements-dev.txt $(ARGS) && \
	for name in operate run; do \
		lock --universal --python-version 3.11 -c requirements-dev.txt requirements-$$name.in -o requirements-$$name.txt || exit 1; \
	done && \
	lock $(deployed) -c requirements-dev.txt requirements.in -o requirements.txt && \
	lock --universal --python-version 3.13 .github/requirements.in -o .github/requirements.txt $(ARGS) && \
	lock --universal --python-version 3.13 .github/site-requirements.in -o .github/site-requirements.txt $(ARGS)

snapshots:
	bicep --version >/dev/null 2>&1 || { echo "The Bicep compiler must be on PATH as bicep" >&2; exit 1; }
	for name in default closed; do \
		bicep snapshot infra/snapshots/$$name.bicepparam --mode $(or $(MODE),overwrite) --location westeurope \
			--subscription-id 00000000-0000-0000-0000-000000000001 --tenant-id 00000000-0000-0000-0000-000000000002 || exit 1; \
	done
	$(if $(MODE),,'$(PYTHON)' -m dev.bicep.snapshots)

clean:
	rm -rf .venv* dev/node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis .fuzz
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Progress goes to standard error: the standard output of `make run` is the app's.

# What make run needs is some of what the tests need, so that the first run is served soon.

$(runnable): requirements-run.txt
	$(call install,requirements-run.txt)

$(installed): requirements-dev.txt
	$(call install,requirements-dev.txt)
	touch $(runnable)

$(azurite): dev/package.json dev/package-lock.json
	node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null && npm --version >/dev/null 2>&1 || \
		{ echo "Node.js 20 or newer with npm is needed for Azurite" >&2; exit 1; }
	echo "Installing Azurite in dev/node_modules: half a minute the first time" >&2
	npm ci --prefix dev --no-audit --no-fund --loglevel=error >&2
	touch $@
