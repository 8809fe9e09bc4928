CARGO ?= cargo
FUZZ_SECONDS ?= 60
PREFIX ?= /usr/local
TARGET = $(or $(CARGO_TARGET_DIR),target)

# Versions of the cargo subcommands that targets install. Dependabot does not read this list.
cargo-cyclonedx-version = 0.5.9
cargo-deb-version = 3.8.0
cargo-deny-version = 0.20.2
cargo-fuzz-version = 0.13.2
mdbook-version = 0.5.4

# Installs a cargo subcommand from crates.io if it is missing. Any installed version is used.
cargo-tool = $(CARGO) $(1) --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-$(1)@$(cargo-$(1)-version)

# Tests mostly wait for servers, so run more of them at a time than the machine has cores.
test-threads = $(shell echo $$((4 * $$(getconf _NPROCESSORS_ONLN))))

.PHONY: help build dist man completions install deb sbom demo test bench conformance deny fuzz lint docs

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | sed 's/:.*## /\t/' | expand -t 12

build: ## Build target/release/manifest-tool
	$(CARGO) build --release --locked

dist: ## Build the program for packages, target/dist/manifest-tool; slow
	$(CARGO) build --profile dist --locked

man: ## Write a man page for each command into target/dist/man
	$(CARGO) run --quiet --locked --features man-pages --bin man-pages -- $(TARGET)/dist/man

completions: dist ## Write completions for bash, zsh and fish into target/dist/completions
	@mkdir -p $(TARGET)/dist/completions
	@$(TARGET)/dist/manifest-tool completion bash >$(TARGET)/dist/completions/manifest-tool.bash
	@$(TARGET)/dist/manifest-tool completion zsh >$(TARGET)/dist/completions/_manifest-tool
	@$(TARGET)/dist/manifest-tool completion fish >$(TARGET)/dist/completions/manifest-tool.fish

install: dist man completions ## Install binary, completions and man pages below PREFIX (/usr/local); DESTDIR is supported
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(PREFIX)/share/man/man1" \
	    "$(DESTDIR)$(PREFIX)/share/bash-completion/completions" "$(DESTDIR)$(PREFIX)/share/zsh/site-functions" \
	    "$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d"
	install -m 755 $(TARGET)/dist/manifest-tool "$(DESTDIR)$(PREFIX)/bin/"
	install -m 644 $(TARGET)/dist/man/*.1 "$(DESTDIR)$(PREFIX)/share/man/man1/"
	install -m 644 $(TARGET)/dist/completions/manifest-tool.bash \
	    "$(DESTDIR)$(PREFIX)/share/bash-completion/completions/manifest-tool"
	install -m 644 $(TARGET)/dist/completions/_manifest-tool "$(DESTDIR)$(PREFIX)/share/zsh/site-functions/"
	install -m 644 $(TARGET)/dist/completions/manifest-tool.fish "$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/"

deb: dist man completions ## Build a Debian package, target/debian/*.deb, with cargo-deb
	@$(call cargo-tool,deb)
	$(CARGO) deb --no-build --profile dist --locked

sbom: ## Write a CycloneDX SBOM into target/sbom, with cargo-cyclonedx
	@$(call cargo-tool,cyclonedx)
	$(CARGO) cyclonedx --quiet --format json --spec-version 1.5 --target all --override-filename manifest-tool.cdx
	@mkdir -p $(TARGET)/sbom && mv manifest-tool.cdx.json $(TARGET)/sbom/

demo: build ## Run the main job against a real registry (REGISTRY=host:port selects one)
	@integration/demo.sh

test: ## Install docker-registry, skopeo, buildah, podman, curl, jq, zsh, fish, shellcheck, man, zip and cargo-deb where missing, and run every test
	@integration/install-tools.sh docker-registry skopeo buildah podman curl jq zsh fish shellcheck man:man-db dpkg-shlibdeps:dpkg-dev zip unzip
	@$(call cargo-tool,deb)
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-$(test-threads)} $(CARGO) test --locked

conformance: build ## Test a registry: make conformance REGISTRY=host:port/repository [FLAGS=--plain-http]
	@test -n "$(REGISTRY)" || { echo "usage: make conformance REGISTRY=host:port/repository" >&2; exit 2; }
	@code=0; PATH="$${CARGO_TARGET_DIR:-$(CURDIR)/target}/release:$$PATH"; export PATH; \
	$(if $(filter --password-stdin,$(FLAGS)),MANIFEST_TOOL_PASSWORD=$$(cat); export MANIFEST_TOOL_PASSWORD;) \
	set -- $(filter-out --password-stdin,$(FLAGS)) $(REGISTRY); \
	echo "With several repositories:"; integration/test-registry.sh "$$@" || code=1; \
	echo "With a single repository:"; integration/test-registry-tagonly.sh "$$@" || code=1; \
	exit $$code

bench: ## Measure round trips, requests and memory, beside other programs on PATH
	@integration/install-tools.sh docker-registry
	$(CARGO) bench --profile dist --locked --bench bench

docs: ## Build the documentation as a book with search into target/book, with mdBook; OWNER=NAME fills in the account
	@mdbook --version >/dev/null 2>&1 || $(CARGO) install --locked mdbook@$(mdbook-version)
	@release/book.sh $(TARGET)/book $(OWNER)

fuzz: ## Run each target of fuzz/ for a minute (FUZZ_SECONDS), with cargo-fuzz and the nightly toolchain
	@$(CARGO) +nightly --version >/dev/null 2>&1 || \
	    { echo "no nightly toolchain: run 'rustup toolchain install nightly --profile minimal'" >&2; exit 1; }
	@$(call cargo-tool,fuzz)
	$(CARGO) +nightly fuzz build
	@set -e; for target in $$($(CARGO) fuzz list); do \
	    echo "fuzz: $$target"; mkdir -p fuzz/corpus/$$target; \
	    $(CARGO) +nightly fuzz run $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
	        -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1; \
	done

deny: ## Check licences, sources and versions of dependencies with cargo-deny; ADVISORIES=1 adds advisories
	@$(call cargo-tool,deny)
	$(CARGO) deny check $(if $(ADVISORIES),advisories) bans licenses sources

lint: ## Check formatting, lints and documentation; ALL_FEATURES=1 includes OpenPGP, which adds 111 crates
	$(CARGO) fmt --check
	$(CARGO) fmt --check --manifest-path fuzz/Cargo.toml
	$(CARGO) clippy --locked --all-targets --features man-pages $(if $(ALL_FEATURES),--all-features) -- -D warnings
	$(CARGO) clippy --locked --no-default-features --lib -- -D warnings
	@tree=$$($(CARGO) tree --locked --no-default-features --edges normal --prefix none) && \
	    if echo "$$tree" | grep -E '^(clap|indicatif|rpassword)'; then \
	        echo "only the feature cli may depend on these crates" >&2; exit 1; \
	    fi
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --quiet
