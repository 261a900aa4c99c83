# make run | test | test-all | demo | bench | lint
PY := .venv/bin/python

.PHONY: setup run test test-all demo bench lint clean

setup: .venv/installed
	@$(PY) -m orchestrator_site.installing

.venv/installed: requirements.txt requirements-dev.txt
	@test -x $(PY) || python3 -m venv .venv
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

run: setup
	@exec $(PY) manage.py start $(if $(PORT),--port $(PORT))

demo: setup
	@$(PY) manage.py demo

test: setup
	@$(PY) -m tests.mongo
	@$(PY) -m tests.suite

test-all: setup
	@$(PY) -m tests.mongo
	@$(PY) -m tests.suite --all

bench: setup
	@$(PY) -m tests.bench $(BENCH)

lint: setup
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy orchestrator_site brain devices queues postprocessing
	@$(PY) manage.py makemigrations --check --dry-run
	@$(PY) manage.py check

clean:
	rm -rf var .pytest_cache .mypy_cache .ruff_cache
