# `make help` lists what there is. Every target needs nothing but Rust, or says what else and installs or names it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run test lint scan bench schema playground fuzz replicas
SECONDS_PER_TARGET = $(if $(filter environment command line,$(origin SECONDS)),$(SECONDS),60)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## build and start the server on SQLite; needs no other service
	cargo run --locked -- serve

test: ## every test, on SQLite and in process as well as on throwaway PostgreSQL and Redis; ARGS='a_name' narrows
	scripts/services scripts/test $(ARGS)

lint: ## formatting, clippy, documentation and the dependency policy
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked --quiet
	scripts/deps-policy

scan: ## security scan: lints, dependencies, unsafe, secrets, SBOM, npm lock; reports in security_reports/
	scripts/scan

bench: ## criterion benches and the comparison with a bare server (docs/performance.md)
	scripts/services scripts/bench $(ARGS)

schema: ## refresh what is generated from the code: schema.graphql, the configuration reference, docs/asvs.md …
	scripts/schema

playground: ## build GraphiQL from npm, to be embedded by the next cargo build (needs Node 20)
	scripts/playground

fuzz: ## run every fuzz target for SECONDS=n (60) each
	scripts/fuzz $(SECONDS_PER_TARGET)

replicas: ## PostgreSQL, Redis, two servers and, with nginx installed, a proxy, on this machine
	cargo build --locked
	scripts/services scripts/replicas
