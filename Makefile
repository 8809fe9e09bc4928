CARGO ?= cargo

.PHONY: help build test

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | sed 's/:.*## /\t/' | expand -t 12

build: ## Build the release binary
	$(CARGO) build --release --locked

test: ## Run every test
	$(CARGO) test --locked
