# `make` lists the targets. Needs GNU make and Python 3.11, 3.12 or 3.13; works as root and as an ordinary user, and
# without a network once the first install is done.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
ARGS ?=

# The first that runs and is new enough (some shims on PATH exist but do not run). Evaluated only when .venv is made.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && { echo $$python; break; }; \
	done)
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9

.PHONY: help run test check fmt docs package sdk bench fault fault-mutants attack soak fuzz clients lock audit sbom clean
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: $(VENV)/.installed ## Start Onefold with everything it needs: make run ARGS="--port 8000"
	@exec $(BIN)/onefold up $(ARGS)

# Bytecode is kept: a hundred processes of ours are started, and each would compile everything again.
test: $(VENV)/.installed-dev clients ## Run the tests: make test ARGS="tests/domain -x"
	@exec env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)
JOBS ?= 3

fuzz: $(VENV)/.installed-dev ## Random requests, many: make fuzz CASES=50000 SEED=7 ARGS="tests/fuzz/test_document.py"
	@exec env FUZZ_CASES=$(CASES) FUZZ_SEED=$(SEED) $(BIN)/python -m pytest $(or $(ARGS),tests/fuzz) --timeout=0 -s
CASES := 20000
SEED = $(shell date +%s)

check: $(VENV)/.installed-dev ## Formatting, lint, types, import contracts, and that migrations and docs/cli.md are current
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.layout.imports
	$(BIN)/python -m app.store.migrate --check
	$(BIN)/python -m app.cli.reference --check

fmt: $(VENV)/.installed-dev ## Format the code, mend what ruff can mend, write docs/cli.md
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/python -m app.cli.reference

docs: $(VENV)/.installed-docs ## Build the documentation as a site, below site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "Open site/index.html"

package: $(VENV)/.installed-dev ## Build the wheel, below dist/; the same files make the same wheel, byte for byte
	@$(BIN)/python -m hatchling build --target wheel --directory dist

sdk: ## Build the web SDK, app/api/sdk/dist; needs Node. With ARGS=--check only see whether it is current
	@cd sdk/web && npm ci --silent --ignore-scripts --no-audit --no-fund --omit-lockfile-registry-resolved \
		&& npx tsc --noEmit && node build.mjs $(ARGS)

bench: $(VENV)/.installed-dev ## Run a benchmark: make bench ARGS="--help"
	@exec $(BIN)/python -m bench $(ARGS)

fault: $(VENV)/.installed-dev ## Hit it with faults and compare: make fault ARGS="--short"
	@exec $(BIN)/python -m fault $(ARGS)

fault-mutants: $(VENV)/.installed-dev ## Plant bugs in a copy, and see that the faults find each of them
	@exec $(BIN)/python -m fault.mutants $(ARGS)

attack: $(VENV)/.installed-dev ## Attack it while a victim uses it: make attack ARGS="--short"
	@exec $(BIN)/python -m attack $(ARGS)

soak: $(VENV)/.installed-dev ## A steady load for long: make soak ARGS="--minutes 20"
	@exec $(BIN)/python -m fault.soak $(ARGS)

lock: $(BIN)/python ## Make the lock files anew from pyproject.toml
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv==$(UV_VERSION)
	$(BIN)/uv pip compile $(COMPILE) --output-file requirements.lock pyproject.toml
	$(BIN)/uv pip compile $(COMPILE) --extra dev --output-file requirements-dev.lock pyproject.toml
	$(BIN)/uv pip compile $(COMPILE) --extra docs --constraints requirements-dev.lock --output-file requirements-docs.lock pyproject.toml
COMPILE := --quiet --universal --python-version 3.11 --generate-hashes --no-header

audit: $(BIN)/python ## Ask for known vulnerabilities of what is installed (needs the network)
	$(uv_tool) pip-audit==2.10.1 pip-audit --disable-pip --strict --require-hashes --requirement requirements.lock $(ARGS)

sbom: $(VENV)/.installed ## List what Onefold is made of, below dist/: in CycloneDX's form (needs the network once)
	@mkdir -p dist
	$(uv_tool) cyclonedx-bom==7.5.0 cyclonedx-py requirements --pyproject pyproject.toml --mc-type application \
		--output-reproducible --output-file dist/onefold.cdx.json requirements.lock
uv_tool = @test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv==$(UV_VERSION); $(BIN)/uv tool run --quiet --from

clean: ## Remove .venv and what the tools leave behind (never your data)
	rm -rf $(VENV) $(CLIENTS) sdk/web/node_modules site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
	find app onefold workers tests bench fault attack -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# Published packages that tests use: clients of the API and tracking SDKs (tests/clients), each in a folder of its own,
# since two of them are called `braze`; the schemas of Kubernetes; and what drives a browser (tests/browser), which has to be there: Debian's
# `chromium`, for instance. What cannot be had (no npm, no network) is left out, and its tests are skipped.
CLIENTS := .clients
PACKAGES := tests/clients/packages
clients: $(CLIENTS)/.edx $(CLIENTS)/.braze $(CLIENTS)/.segment $(CLIENTS)/.kubernetes $(CLIENTS)/.npm ## Install published packages that tests use
$(CLIENTS)/.edx $(CLIENTS)/.braze $(CLIENTS)/.segment $(CLIENTS)/.kubernetes: $(CLIENTS)/.%: $(PACKAGES)/%.lock | $(BIN)/python
	@rm -rf $(CLIENTS)/$* && mkdir -p $(CLIENTS)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --retries 1 --no-deps --only-binary :all: \
		--require-hashes --target $(CLIENTS)/$* -r $< && touch $@ || echo "No client package $*: its tests are skipped"
$(CLIENTS)/.npm: $(PACKAGES)/package-lock.json
	@mkdir -p $(CLIENTS) && cp $(PACKAGES)/package.json $(PACKAGES)/package-lock.json $(CLIENTS)
	@cd $(CLIENTS) && npm ci --silent --ignore-scripts --no-audit --no-fund --omit-lockfile-registry-resolved \
		&& touch .npm || echo "No npm, or no npm package: its tests are skipped"

# A stamp says that its lock file has been installed. The dev lock holds everything that the other one holds.
$(VENV)/.installed: requirements.lock $(BIN)/onefold
	$(call install,requirements.lock)
	@touch $@
$(VENV)/.installed-dev: requirements-dev.lock $(BIN)/onefold
	$(call install,requirements-dev.lock)
	@touch $@
$(VENV)/.installed-docs: requirements-docs.lock $(BIN)/onefold
	$(call install,requirements-docs.lock)
	@touch $@

# uv installs 5 to 15 times faster than pip. It trusts its own certificates first, then the system's, among which a
# proxy's authority may be. It does not read pip's configuration (an index of your own, say): where it cannot be had or
# fails, pip does the same, with the same hashes.
define install
@echo "Installing $(1) into $(VENV)"
@{ test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION); } \
	&& { $(uv_install) -r $(1) \
	|| { echo "uv cannot install it; once more, with the system's certificates"; $(uv_install) --system-certs -r $(1); }; } \
	|| { echo "uv cannot install it; pip does it now, which takes a minute"; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1); }
endef
uv_install = $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes

# The project itself: a path file and a script of four lines. An editable install by pip would need the build backend
# from the network (make has no hatchling before it) and would record absolute paths; these two keep working where the
# checkout is moved, installed offline, and with any Python. The script is a shell script and a Python program at once:
# a "#!" line cannot hold a path with a space, nor more than 127 bytes on some systems.
$(BIN)/onefold: $(BIN)/python
	@echo ../../../.. > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/onefold.pth"
	@printf '%s\n' '#!/bin/sh' \
		"'''exec' \"\$$(dirname -- \"\$$(realpath -- \"\$$0\")\")/python\" \"\$$0\" \"\$$@\"" "' '''" \
		'import sys' 'from app.cli import main' 'sys.exit(main())' > $@
	@chmod +x $@

# Debian's Python comes without ensurepip, which `python -m venv` needs; the package python3-venv has it.
$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Onefold needs Python 3.11, 3.12 or 3.13 (Debian: apt-get install python3 python3-venv)" >&2; exit 1; }
	@echo "Making $(VENV) with $(PYTHON)"
	@make_venv() { $(PYTHON) -m venv --clear $(VENV) >/dev/null 2>&1 || $(PYTHON) -m virtualenv --quiet --clear $(VENV) 2>/dev/null; }; \
	make_venv && exit 0; \
	if test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
		echo "Installing python3-venv"; \
		{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends python3-venv; } >/dev/null && make_venv && exit 0; \
	fi; \
	rm -rf $(VENV); \
	echo "$(PYTHON) cannot make a virtual environment. Debian, Ubuntu: apt-get install python3-venv" >&2; exit 1
