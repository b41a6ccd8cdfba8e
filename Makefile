# `make run` and `make test` create the environment that they need from Python 3.11 or newer.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PYTEST = $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile
INSTALLED = $(VENV)/.installed

unexport PYTHONDONTWRITEBYTECODE  # tests start hundreds of processes, which would all compile

.PHONY: run test check docs results costs faults lint types audit clean

run: $(INSTALLED)
	$(BIN)/python run.py --search quickstart --budget quick

test: $(INSTALLED)
	$(PYTEST) -m "not slow"

check: $(INSTALLED) lint types audit
	$(PYTEST) --cov --cov-report=term

# The documentation as a site, build/docs/index.html. `make check` builds it too, in tests/docs.
docs: $(INSTALLED)
	$(BIN)/python -m sphinx -W --keep-going -q -j auto -b html -c docs -d build/doctrees . build/docs

# The page of docs/results, its reports and the findings of the README, from the records;
# `make results ADD=results/NAME` first packs the records of a study there.
results: $(INSTALLED)
	$(BIN)/python -m analysis.evidence docs/results --readme README.md $(if $(ADD),--add $(ADD))

# What the studies and trials that were not run would cost on this machine, for the same page.
costs: $(INSTALLED)
	$(BIN)/python benchmarks/price_of_results.py docs/results

faults: $(INSTALLED)
	$(BIN)/python -m tests.faults --seed 1 --faults 520 --inputs 1010 --programs 45 --write

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

# Known faults of the pinned dependencies; pip-audit has an environment of its own.
audit: $(INSTALLED)
	$(BIN)/python .ci/audit.py constraints.txt $(VENV)/audit

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --upgrade pip
	$(BIN)/python -m pip install -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
