# Everything runs in its own environment, .venv, made from pinned requirements.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
STAMP := $(VENV)/.installed
export PYTHONHASHSEED := 0
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: demo test lint bench docs lock sbom clean help

help:            ## what each target does
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## */\t/' | expand -t 10

$(READY): requirements/runtime.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "errdetect needs Python 3.11 or later; name one: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python tools/install.py requirements/runtime.txt
	@$(BIN)/python tools/install.py --own
	@touch $@

$(STAMP): $(READY) requirements/dev.txt pyproject.toml
	@$(BIN)/python tools/install.py requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY)   ## install what runs, then simulate, train, score and report; ends with what to open
	$(BIN)/errdetect demo errdetect-demo
	@echo "Open errdetect-demo/report/report.html in a browser: what goes wrong, where, and what to do. The queue is errdetect-demo/queue/queue.parquet."
	@echo "Your own files next: . $(BIN)/activate, then errdetect init YOUR_LOG YOUR_REVIEWS"

lint: $(STAMP)   ## style, types, imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

test: lint       ## install, then lint and every test, doctest and notebook
	tests/tools/chromium.sh
	tests/tools/java.sh
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
	$(BIN)/python -m pytest -n 2 --nbmake --nbmake-timeout=300 -p no:cacheprovider notebooks

bench: $(STAMP)  ## every figure of README and docs, peers beside us (hours)
	$(BIN)/python benchmarks/interval_coverage.py --extra --jobs 2
	$(BIN)/python benchmarks/accidents.py --jobs 2
	$(BIN)/python benchmarks/marketplaces.py --first 900
	$(BIN)/python benchmarks/detection.py --jobs 2
	$(BIN)/python benchmarks/gate.py
	$(BIN)/python benchmarks/calibration.py
	$(BIN)/python benchmarks/findings.py planted
	$(BIN)/python benchmarks/findings.py planted --seeds 2000-2003 --decisions 300000
	$(BIN)/python benchmarks/findings.py sizes
	$(BIN)/python benchmarks/findings.py monthly --repetitions 3
	$(BIN)/python benchmarks/reviewers_wrong.py
	$(BIN)/python benchmarks/review_queue.py
	$(BIN)/python benchmarks/remediation.py
	$(BIN)/python benchmarks/effects.py
	$(BIN)/python benchmarks/speed.py --decisions 100000,1000000
	$(BIN)/python benchmarks/speed.py --decisions 100000,1000000 --no-text

$(VENV)/.docs: $(STAMP) requirements/docs.txt
	@$(BIN)/python tools/install.py requirements/docs.txt
	@touch $@

docs: $(VENV)/.docs   ## build the site (site/index.html); every link, anchor and snippet is checked
	$(BIN)/python tools/make_reference.py --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	$(BIN)/python -m pytest tests/test_docs.py tests/test_site.py tests/test_reference.py tests/test_tutorial.py tests/test_snippets.py
	@echo "Open site/index.html"

lock:            ## pin requirements anew, with the hashes of all their files (needs uv)
	uv pip compile pyproject.toml --extra dev --python-version 3.11 --no-header --no-annotate --no-emit-index-url --generate-hashes -o requirements/dev.txt
	uv pip compile pyproject.toml --python-version 3.11 --no-header --no-annotate --no-emit-index-url --generate-hashes -o requirements/runtime.txt
	echo "psycopg[binary]>=3.2" | uv pip compile - -c requirements/dev.txt --python-version 3.11 --no-header --no-annotate --no-emit-index-url --generate-hashes -o requirements/postgresql.txt
	uv pip compile requirements/docs.in -c requirements/dev.txt --python-version 3.11 --no-header --no-annotate --no-emit-index-url --generate-hashes -o requirements/docs.txt

sbom: $(STAMP)   ## software bill of materials of the runtime requirements (CycloneDX), with licences
	$(BIN)/python tools/sbom.py --out sbom.json

clean:           ## remove the environment and what tools left
	rm -rf $(VENV) site .mypy_cache .ruff_cache .pytest_cache errdetect-demo
