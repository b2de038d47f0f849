SHELL := /bin/sh
.DEFAULT_GOAL := help
LOCK := uv pip compile --generate-hashes --no-annotate --no-header --no-emit-index-url --python-version 3.11
WORDS := shared/translations
BABEL := .venv/bin/python -W ignore -m babel.messages.frontend -q
COLLECT = $(BABEL) extract -F babel.cfg -k N_ -k Kind:2 -k Route:4 --sort-output --no-location --omit-header -o $(WORDS)/messages.pot .
.PHONY: help setup tools run peers demo season test long attack storm storm-bridges outages bench figures drill mutants pictures rules saga words lint lock

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' Makefile | sed 's/:.*## /\t/' | expand -t 16

setup: ## Make .venv with the locked libraries that run the product
	@sh deploy/setup.sh

tools: ## Make .venv with those that test, lint and measure it, too
	@sh deploy/setup.sh tests

run: setup ## Start everything in one process with demo data on http://127.0.0.1:8000
	@.venv/bin/tuanqiao run

peers: setup ## Start other systems (BJ, GD, FJ) beside a `make run`, with a desk each (PEERS= SEED= SPEED=60 FAULTS= BY_HAND=)
	@.venv/bin/python -W ignore -m tests.peers

demo: setup ## Run the main job without a screen and check the invariants
	@.venv/bin/tuanqiao demo

season: setup ## Simulate a season under two policies; table, charts and page in var/season
	@.venv/bin/tuanqiao season

test: tools ## Run all tests on real RabbitMQ and PostgreSQL, found or started
	@sh deploy/browser.sh; servers=$$(sh deploy/servers.sh) && eval "$$servers" && \
	.venv/bin/python -m pytest -q -n 2 --dist loadfile -m "not alone and not long" && .venv/bin/python -m pytest -q -m "alone and not long"

long: tools ## Run the tests that are too long for each change: storms, restores, the board on a real Prometheus, pages in English and dark
	@servers=$$(sh deploy/servers.sh) && eval "$$servers" && .venv/bin/python -m pytest -q -m long

attack: tools ## Attack a running system by contract and in every other way (MINUTES=10 CASES=10000 PARTS=)
	@servers=$$(sh deploy/servers.sh) && eval "$$servers" && .venv/bin/python -W ignore -m tests.attack

storm: tools ## Kill, freeze, cut off and slow down processes and servers while offices work (MINUTES=10 SEED= REPLICAS=2 QUICK=1: two minutes)
	@.venv/bin/python -W ignore -m tests.storm

storm-bridges: tools ## Members go to three other systems and come, while all of them are killed, an auditor reads along (TRANSFERS=5000 KILLS=50 SEED= MINUTES=15 PEERS= QUICK=1)
	@servers=$$(sh deploy/servers.sh) && eval "$$servers" && .venv/bin/python -W ignore -m tests.storm.bridges

outages: tools ## Take each database away under load, in five ways (MINUTES=10 WAYS= DATABASES=)
	@.venv/bin/python -W ignore -m tests.storm.outages

bench: tools ## Measure the system beside its bare SQL (QUICK=1: under 5 minutes; PEERS=1: beside DBOS and Celery; COMPARE=commit: fail if slower)
	@servers=$$(sh deploy/servers.sh) && eval "$$servers" && .venv/bin/python -W ignore -m tests.bench

figures: tools ## Measure the pages: milliseconds, KB, height, presses of Tab (PAGES= ROUNDS=20)
	@sh deploy/browser.sh; servers=$$(sh deploy/servers.sh) && eval "$$servers" && .venv/bin/python -W ignore -m tests.system.page_figures

drill: tools ## Back up and restore a large installation; times, and what they mean for 20 million (TRANSFERS=1000000)
	@servers=$$(sh deploy/servers.sh) && eval "$$servers" && .venv/bin/python -W ignore -m tests.system.restore_drill

mutants: tools ## Change the rules and the saga's SQL in small ways; count what no test notices (ONLY=part of a path)
	@servers=$$(sh deploy/servers.sh) && eval "$$servers" && .venv/bin/python -W ignore -m tests.mutants

pictures: tools ## Every page as each role sees it, at 360 and 1440 px, into docs/pictures/pages (ROLES= PAGES= OUT=)
	@sh deploy/browser.sh; servers=$$(sh deploy/servers.sh) && eval "$$servers" && .venv/bin/python -W ignore -m tests.pictures

rules: tools ## Print docs/rules.md: every rule, where it lives, whether a test proves it
	@.venv/bin/python docs/print_rules.py

saga: tools ## Print docs/saga.md, docs/federation.md with its OpenAPI document, and docs/asyncapi.json from the code
	@.venv/bin/python -m services.transfers.saga > docs/saga.md
	@.venv/bin/python -m services.federation.page > docs/federation.md
	@.venv/bin/python -m services.federation.openapi > docs/federation.openapi.json
	@.venv/bin/python -m shared.messages.asyncapi > docs/asyncapi.json

words: ## Collect the texts for the catalogue, compile it, and say which have no English
	@$(COLLECT)
	@$(BABEL) update -i $(WORDS)/messages.pot -d $(WORDS) -l en --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date --no-wrap
	@$(BABEL) compile -d $(WORDS) && .venv/bin/python -m shared.translations.check

lint: tools ## Format check, walls between services, types, spelling, templates, words
	@$(COLLECT) && .venv/bin/python -m shared.translations.check
	@.venv/bin/ruff format --check -q . && .venv/bin/ruff check . && .venv/bin/lint-imports && .venv/bin/mypy && .venv/bin/codespell --skip '*/vendor/*,*.png' services shared system tests docs README.md && .venv/bin/djlint --lint --quiet services/gateway/templates

lock: ## Lock what runs and what tests the product, with hashes (needs uv)
	@$(LOCK) requirements.in -o requirements.lock
	@$(LOCK) -c requirements.lock requirements-tests.in -o requirements-tests.lock
	@$(LOCK) tests/bench/frameworks/requirements.in -o tests/bench/frameworks/requirements.lock
