# The commands a contributor learns. `make` alone lists them.
#   ARGS is passed on:  make demo ARGS="--model openai:gpt-5.2"   make test ARGS="-k rules -x"
# Written for GNU Make 3.81 as well, which macOS ships: no .ONESHELL, no .SHELLFLAGS.
SHELL := /bin/bash
.DEFAULT_GOAL := help

BIN   := .venv/bin
STAMP := .venv/.from-lock

.PHONY: help env demo test test-ui chaos long approvals-load check format docs bench bench-sleep bench-guards bench-rules bench-recognisers lock clean distclean

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' Makefile | while IFS='|' read -r name text; do printf '%-18s %s\n' "$$name" "$$text"; done

env: $(STAMP) ## make .venv from requirements.lock

demo: $(STAMP) ## run the refund desk once, on a real Temporal server
	@exec $(BIN)/mainspring demo $(ARGS)

# Files are shared out to four processes, each with a Temporal server of its own; ARGS="-n 0" keeps to one, for a debugger.
test: check ## all checks, then all tests
	@$(BIN)/pytest -n 4 --dist loadfile $(ARGS)

# CHROMIUM names one that is not on the path. Screenshots go to build/ui.
test-ui: $(STAMP) ## the tests that drive a real browser; fails where there is none
	@chromium=$$(command -v "$${CHROMIUM:-chromium}") \
	  || { echo "There is no '$${CHROMIUM:-chromium}'. Install Chromium, or set CHROMIUM to its path."; exit 1; }; \
	CHROMIUM="$$chromium" exec $(BIN)/pytest -m browser $(ARGS)

long: $(STAMP) ## one run of TURNS=10000 turns in MODE=fast, while updates come in
	@exec $(BIN)/python -m tests.long $(or $(TURNS),10000) $(or $(MODE),fast)

approvals-load: $(STAMP) ## decide 1,000 requests of 1,000 runs (N=10000 for more)
	@exec $(BIN)/python -m tests.load $(or $(N),1000)

# QUICK=1 is a sample; SEED, MODES, ONLY and JOBS: see tests/chaos/__main__.py.
chaos: $(STAMP) ## kill workers and the server at every point of a run
	@exec $(BIN)/python -m tests.chaos

check: $(STAMP) ## format, lint, types, layers
	@echo "ruff format"
	@$(BIN)/ruff format --check --quiet . || { $(BIN)/ruff format --check .; echo "'make format' formats them."; exit 1; }
	@echo "ruff check"
	@$(BIN)/ruff check --quiet .
	@echo "basedpyright, strict"
	@$(BIN)/basedpyright --level error
	@echo "import-linter"
	@report=$$($(BIN)/lint-imports --no-cache) || { echo "$$report"; exit 1; }

format: $(STAMP) ## format the code and fix what ruff can fix
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: $(STAMP) ## write docs/reference anew from the code
	@$(BIN)/python docs/generate.py

# STACKS=mainspring-turn,plain TURNS=4,50 REPEAT=1 measure less; all stacks and lengths also write docs/benchmarks.md.
bench: $(STAMP) ## measure Mainspring beside its peers (STACKS=, TURNS=, REPEAT=)
	@exec $(BIN)/python -m benchmarks --stacks "$(STACKS)" --turns "$(TURNS)" --repeat "$(REPEAT)"

bench-sleep: $(STAMP) ## measure 1,000 runs that wait for approval (N=10000 for more)
	@exec $(BIN)/python -m benchmarks --stacks "$(STACKS)" --sleep "$(or $(N),1000)"

bench-guards: $(STAMP) ## play AgentDojo's attacks against the rules (SUITES=banking,workspace,slack,travel)
	@exec $(BIN)/python -m benchmarks.dojo --suites "$(SUITES)"

bench-rules: $(STAMP) ## measure what asking rules costs
	@exec $(BIN)/python -m benchmarks.rules

bench-recognisers: $(STAMP) ## look for personal data and secrets in labelled texts
	@exec $(BIN)/python -m benchmarks.recognisers

# Keeps the versions that still fit; ARGS=--upgrade takes the newest of all, ARGS="--upgrade-package NAME" of one.
# The machine's own package configuration stays out: the lock names versions and hashes, no index. Of the extras,
# presidio is left out for its size.
EXTRAS := --extra anthropic --extra inbox --extra ollama --extra openai --extra s3 --extra server --extra testing
lock: ## write requirements.lock and benchmarks/locks anew
	@uv=$$(command -v uv || echo $(BIN)/uv); \
	"$$uv" pip compile pyproject.toml --no-config --quiet --universal --python-version 3.11 $(EXTRAS) --group dev \
	  --generate-hashes --no-emit-index-url --custom-compile-command "make lock" --output-file requirements.lock $(ARGS)
	@echo "requirements.lock holds $$(grep -c '^[a-z].*==' requirements.lock) packages"
	@uv=$$(command -v uv || echo $(BIN)/uv); \
	for each in benchmarks/locks/*.in; do \
	  "$$uv" pip compile "$$each" --no-config --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --custom-compile-command "make lock" --output-file "$${each%.in}.txt" $(ARGS) || exit 1; \
	done; \
	echo "benchmarks/locks holds $$(ls benchmarks/locks/*.txt | wc -l) locks"

clean: ## remove what the demo kept, caches and built things
	@rm -rf .mainspring build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -path ./.venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## clean, and remove .venv and .bench
	@rm -rf .venv .bench

# The stamp is written last: an interrupted run leaves none, and the next one starts from nothing.
# uv does the same work as pip, in seconds, so it is used where it is there. _base_executable is the Python that an
# activated .venv was made from: the .venv itself is about to go.
$(STAMP): requirements.lock pyproject.toml
	@set -euo pipefail; \
	python=; \
	for candidate in python3 python3.14 python3.13 python3.12 python3.11; do \
	  if "$$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; then \
	    python=$$("$$candidate" -c 'import sys; print(getattr(sys, "_base_executable", sys.executable))'); break; \
	  fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "Mainspring needs Python 3.11 to 3.14, and none is on the PATH as python3 or python3.N." \
	       "Install one and run make again."; exit 1; \
	fi; \
	rm -rf .venv; \
	echo "Making .venv with $$("$$python" --version) from requirements.lock (a minute or two the first time)"; \
	if uv --version >/dev/null 2>&1; then \
	  uv venv --quiet --no-config --python "$$python" .venv; \
	  install="uv pip install --no-config --python $(BIN)/python"; \
	else \
	  "$$python" -m venv .venv || { echo "$$python has no 'venv'; on Debian: apt-get install python3-venv."; exit 1; }; \
	  install="$(BIN)/python -m pip install --disable-pip-version-check"; \
	fi; \
	$$install --require-hashes -r requirements.lock 2>&1 \
	  | { grep --line-buffered -vE '^ [+] |^(Collecting|Looking|Processing|Installing|Successfully)|Using cached|kB\)$$|━|WARNING: Location' || true; }; \
	$$install --quiet --no-deps --no-build-isolation -e .; \
	touch $(STAMP)
