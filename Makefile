# Everything that is done with larder. `make help` lists it.

CARGO ?= cargo
ARGS ?=
FUZZ_SECONDS ?= 20
SCALE ?= 1
ROUNDS ?= 15
ROUND_SECONDS ?= 0.5
CHURN ?= 60
ONLY ?=
WRITE ?=
FEATURES = memory redis metrics log client query tls proxy

.DEFAULT_GOAL := help
.PHONY: help run test check bench compare conformance fuzz demo soak clean setup

help: ## lists these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

run: ## builds larder and starts it, with the in-memory cache: make run ARGS="--origin URL"
	$(CARGO) run --release --bin larder -- $(ARGS)

test: setup ## installs what the tests need where it is missing, and runs them all
	$(CARGO) test --all-features

check: ## format, lints, docs, and each feature by itself
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --all-features -- -D warnings
	@set -e; for feature in "" $(FEATURES); do \
		echo "clippy --no-default-features --features '$$feature'"; \
		$(CARGO) clippy -q --no-default-features --features "$$feature" -- -D warnings; \
	done
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --all-features

bench: ## runs the criterion benches, and drives the program over loopback; WRITE=1 keeps that table
	$(CARGO) bench --all-features --bench in_process -- --output-format bencher
	$(CARGO) bench --all-features --bench hit_ratio
	WRITE=$(WRITE) $(CARGO) bench --all-features --bench load

compare: ## larder beside hyper, HAProxy, nginx, Varnish; writes docs/performance.md. ROUNDS=1 is short
	$(CARGO) build --release --bin larder --example bare --example compare
	@ulimit -n 20000 2>/dev/null || true; ./target/release/examples/compare \
		rounds=$(ROUNDS) seconds=$(ROUND_SECONDS) churn=$(CHURN) only=$(ONLY)

conformance: ## runs the public HTTP cache tests against larder and its layer; writes docs/conformance.md
	$(CARGO) build --release --bin larder --example axum
	node tests/conformance/run.mjs target/release --write

fuzz: ## runs each fuzzer for a while: make fuzz FUZZ_SECONDS=600
	@sh fuzz/run.sh $(FUZZ_SECONDS)

demo: ## a small shop that takes 300 ms for each answer, and larder in front of it
	$(CARGO) build --release --bin larder --example shop
	@sh examples/demo.sh

soak: ## what attacks on memory and time do to larder, in a table; SCALE=0.01 is a short one, ONLY=slow picks cases
	$(CARGO) build --release --bin larder --example soak
	@ulimit -n "$$(ulimit -H -n)"; ./target/release/examples/soak ./target/release/larder $(SCALE) "$(ONLY)"

setup:
	@sh tests/setup.sh

clean: ## removes what was built
	$(CARGO) clean
	rm -rf tests/conformance/node_modules
