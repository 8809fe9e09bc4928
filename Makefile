CARGO ?= cargo

.PHONY: help build demo test bench lint

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | sed 's/:.*## /\t/' | expand -t 12

build: ## Build the release binary, target/release/manifest-tool
	$(CARGO) build --release --locked

demo: build ## Do the main job against a real registry (REGISTRY=host:port names one)
	@integration/demo.sh

test: ## Install docker-registry and skopeo where missing, and run every test
	@integration/install-tools.sh docker-registry skopeo
	$(CARGO) build --release --locked
	$(CARGO) test --locked

bench: ## Measure round trips, requests and memory, beside other programs on PATH
	@integration/install-tools.sh docker-registry
	$(CARGO) bench --locked --bench bench

lint: ## Check formatting and lints
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
