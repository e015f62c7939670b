# Each target makes the environment it needs.
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 1
NICE ?= 19
STAMP := .venv/installed

.PHONY: demo test test-slow check results book site docs env clean

demo: $(STAMP)  ## run three learners on the built-in digits; ends with a table and a report
	$(BIN)/lasem run digits/stl digits/hps digits/lasem-hps --out runs/demo
	$(BIN)/lasem report runs/demo --out runs/demo/report.html

test: $(STAMP)  ## pass the tests
	$(BIN)/pytest -n 2 --dist worksteal

test-slow: $(STAMP)  ## pass the tests that take longest, some ten seconds or more each
	$(BIN)/pytest -n 2 --dist worksteal -m slow

check: $(STAMP)  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright

results: $(STAMP)  ## make the runs of the results book that are missing: all, or with BOOK=pacs those of the sweeps pacs*
	$(BIN)/python results/book.py run $(BOOK) --workers $(WORKERS) --nice $(NICE)

book: $(STAMP)  ## rebuild the tables and figures of docs/results from the records, without training
	$(BIN)/python results/book.py build

site: $(STAMP)  ## build the documentation as web pages in build/site; a broken link or a failing tutorial is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	@echo "open build/site/index.html"

docs: $(STAMP)  ## show the documentation at http://127.0.0.1:8000
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

env: $(STAMP)  ## make .venv

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $(STAMP)

clean:  ## remove the environment and caches
	rm -rf .venv .pytest_cache .ruff_cache
