# The one entry point. `make` alone lists the targets: a line that says `##` is shown.
#
# Written for GNU make 3.81 and later, which is what macOS has.

SHELL := /bin/sh
CARGO ?= cargo
PYTHON ?= python3
CARGO_TARGET_DIR ?= target
# More for the program that a target runs: make demo ARGS="--help"
ARGS ?=
# How long each fuzz target runs: so many inputs, or so many seconds, whichever comes first; 0
# seconds are without end.
RUNS ?= 10000000
FUZZ_SECONDS ?= 3600

# Nobody's build but ours has to fail for a lock file that does not fit.
LOCKED := $(if $(CI),--locked)
FEATURES := --features bin,signals
VENV := $(CARGO_TARGET_DIR)/venv
MANUALS := bl-call bl-forwarder bl-proxy bl-queue bl-streamer
# Where man and the shells look, if the programs' folder is on the PATH.
SHARE ?= $(or $(CARGO_INSTALL_ROOT),$(CARGO_HOME),$(HOME)/.cargo)/share
MANDIR ?= $(SHARE)/man

.DEFAULT_GOAL := help
.PHONY: help check fmt test faults second-engine costs demo proxies interop fuzz sim sim-planted balance-churn balance-tables balance-real bench-sockets bench-rpc bench-curve bench-scale loom macos deny doc man completions install clean
.PHONY: check-format check-lints check-docs check-style check-licences test-all

help: ## This list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

check: check-format check-lints check-docs check-style check-licences ## Formatting, lints, documentation, house style; licences, where cargo-deny is there.

check-format:
	$(CARGO) fmt --all --check

check-lints:
	$(CARGO) clippy $(LOCKED) --workspace --exclude brokerless-bench --exclude brokerless-interop \
	  --all-targets $(FEATURES) -- -D warnings

check-docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(LOCKED) --no-deps $(FEATURES)

check-style:
	$(CARGO) test $(LOCKED) --quiet $(FEATURES) --test tidy

check-licences:
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
	  $(CARGO) deny --workspace check --hide-inclusion-graph -A duplicate \
	    bans licenses sources; \
	else echo "cargo-deny is not there: licences not checked (cargo install --locked cargo-deny)"; fi

fmt: ## Formats everything.
	$(CARGO) fmt --all

test: test-all costs ## All tests of the library, its examples and the demo; what the fuzzer has found is replayed.

# Most tests wait for something to happen: twice as many at once as there are cores.
test-all: export RUST_TEST_THREADS ?= $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))
test-all:
	$(CARGO) test $(LOCKED) --no-fail-fast $(FEATURES)

faults: ## Killed, stopped and hostile processes with the bars of an optimised build: make test runs them with slack.
	$(CARGO) test $(LOCKED) --release --no-fail-fast $(FEATURES) -p brokerless \
	  --test faults --test hostile_devices --test scatter --test demo $(ARGS)

second-engine: ## Lints and tests of the feature zeromq: the facts about both engines.
	$(CARGO) clippy $(LOCKED) -p brokerless-patterns --features zeromq \
	  --lib --test conformance -- -D warnings
	$(CARGO) test $(LOCKED) -p brokerless-patterns --features zeromq --test conformance --lib --no-run
	$(CARGO) test $(LOCKED) -p brokerless-patterns --features zeromq --test conformance
	$(CARGO) test $(LOCKED) -p brokerless-patterns --features zeromq --lib second::
	$(CARGO) test $(LOCKED) -p brokerless-patterns --features zeromq --doc zeromq

costs: ## What a message, a pick and a call cost: copies, allocations, system calls; instructions, where valgrind is.
	$(CARGO) test $(LOCKED) --release -p brokerless-costs -- --nocapture --test-threads=1 $(ARGS)

demo: ## Counts the words of real text by a scatter over three worker processes, one of which dies on the way; shows who does how much.
	$(CARGO) run $(LOCKED) --release $(FEATURES) --bin bl-wordcount -- demo $(ARGS)

proxies: ## The fabric behind the real HAProxy and Nginx in TCP mode; as root on Debian what is missing is installed.
	@command -v haproxy >/dev/null 2>&1 && command -v nginx >/dev/null 2>&1 || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	    apt-get install -y --no-install-recommends haproxy nginx libnginx-mod-stream; \
	  else echo "haproxy or nginx is missing: its tests are left out, and say so"; fi; }
	$(CARGO) test $(LOCKED) --test proxies -- --ignored --nocapture --test-threads 1 $(ARGS)

interop: $(VENV)/pyzmq-msgpack ## Talks to libzmq (by pyzmq) and to the zeromq crate, both ways, and calls from and to Python, a line a case.
	$(VENV)/bin/python tests/interop/run.py $(ARGS)

$(VENV)/pyzmq-msgpack:
	$(PYTHON) -m venv $(VENV) || { \
	  echo "python's venv is missing; on Debian: apt install python3-venv"; exit 1; }
	$(VENV)/bin/pip install --quiet --disable-pip-version-check 'pyzmq==27.*' 'msgpack==1.*'
	touch $@

sim: ## Callers and repliers under a virtual clock and network: SEEDS seeds, or one of them with a trace, SEED.
	SEEDS=$(or $(SEEDS),2000) SEED=$(SEED) FROM=$(FROM) $(CARGO) test $(LOCKED) --quiet --release -p brokerless --test sim

balance-churn: ## A pool that changes a hundred times a second for a minute, under calls: none fails.
	$(CARGO) test $(LOCKED) --release -p brokerless --test rpc -- --ignored --exact \
	  balancing::a_pool_changes_a_hundred_times_a_second_for_a_minute_and_no_call_fails

sim-planted: ## Plants mistakes in the machines, one at a time, or those named by BUG: the simulator has to find each.
	SEEDS=$(or $(SEEDS),10000) BUG=$(BUG) RUSTFLAGS="--cfg planted" CARGO_TARGET_DIR=$(CARGO_TARGET_DIR)/planted \
	  $(CARGO) test $(LOCKED) --quiet --release -p brokerless --test sim

balance-tables: ## The picking policies under a virtual clock, beside published tables: target/balance/tables.json and index.html.
	TABLES=$(abspath $(CARGO_TARGET_DIR))/balance $(CARGO) test $(LOCKED) --quiet --release -p brokerless-patterns --test balance

fuzz: ## Fuzzes every parser and a whole session: RUNS inputs or FUZZ_SECONDS seconds a target.
	@rustc +nightly --version >/dev/null 2>&1 || { \
	  echo "fuzzing needs a nightly compiler: rustup toolchain install nightly"; exit 1; }
	@$(CARGO) fuzz --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-fuzz
	RUNS=$(RUNS) FUZZ_SECONDS=$(FUZZ_SECONDS) patterns/fuzz/run.sh $(ARGS)

bench-sockets: ## Round trips and throughput beside raw TCP, libzmq and the zeromq crate, as ratios.
	$(call bench,bench-sockets)

bench-rpc: ## Calls beside a raw echo of the same bytes, tonic, tarpc and bare libzmq, as ratios.
	$(call bench,bench-rpc)

bench-curve: ## Latency of calls from 10 to 100 % of what each system carries, beside tonic and tarpc: CSV and SVG.
	$(call bench,bench-curve)

bench-scale: ## Memory, answers and round trips of one ROUTER with 1 to 10,000 peers.
	$(call bench,bench-scale)

balance-real: ## Policies over real worker processes, one of them slow, one stopped; about 3 minutes.
	$(CARGO) run $(LOCKED) --release -p brokerless-bench --no-default-features --features brokerless \
	  --bin bench-balance -- --strict $(ARGS)

# libzmq is built from the C++ that its package brings along.
bench = @if command -v $(CXX) >/dev/null 2>&1; then features=""; else \
	  echo "no C++ compiler ($(CXX)): without libzmq; on Debian: apt install g++"; \
	  features="--no-default-features --features brokerless,zeromq,tonic,tarpc"; fi; \
	set -x; $(CARGO) run $(LOCKED) --release -p brokerless-bench $$features --bin $(1) -- $(ARGS)

loom: ## Every interleaving of the hand-over of the lead and of the write combiner.
	RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 CARGO_TARGET_DIR=$(CARGO_TARGET_DIR)/loom \
	  $(CARGO) test $(LOCKED) --release -p brokerless-patterns --lib loom $(ARGS)

macos: ## Type-checks the library for macOS, from any system: the kqueue poller is built nowhere else.
	rustup target add x86_64-apple-darwin
	$(CARGO) clippy $(LOCKED) -p brokerless-patterns --target x86_64-apple-darwin -- -D warnings

deny: ## Licences, sources and known flaws of every dependency; installs cargo-deny.
	@$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-deny
	$(CARGO) deny --workspace check --hide-inclusion-graph

doc: ## The library's documentation, into target/doc.
	$(CARGO) doc $(LOCKED) --no-deps $(FEATURES)

man: ## The man pages of the programs, into target/man.
	@mkdir -p $(CARGO_TARGET_DIR)/man
	@for program in $(MANUALS); do \
	  $(CARGO) run $(LOCKED) --quiet $(FEATURES) --bin $$program -- --man \
	    > $(CARGO_TARGET_DIR)/man/$$program.1 || exit 1; \
	  echo $(CARGO_TARGET_DIR)/man/$$program.1; \
	done

completions: ## What completes bl-call in bash, zsh and fish, into target/completions.
	@mkdir -p $(CARGO_TARGET_DIR)/completions
	@for shell in bash zsh fish; do \
	  $(CARGO) run $(LOCKED) --quiet $(FEATURES) --bin bl-call -- completions $$shell \
	    > $(CARGO_TARGET_DIR)/completions/bl-call.$$shell || exit 1; \
	  echo $(CARGO_TARGET_DIR)/completions/bl-call.$$shell; \
	done

install: man completions ## Installs the programs with cargo install, their man pages and completions beside them.
	$(CARGO) install --locked --path . $(FEATURES) $(ARGS)
	install -d $(MANDIR)/man1 $(SHARE)/bash-completion/completions $(SHARE)/zsh/site-functions $(SHARE)/fish/vendor_completions.d
	install -m 644 $(addprefix $(CARGO_TARGET_DIR)/man/,$(addsuffix .1,$(MANUALS))) $(MANDIR)/man1
	install -m 644 $(CARGO_TARGET_DIR)/completions/bl-call.bash $(SHARE)/bash-completion/completions/bl-call
	install -m 644 $(CARGO_TARGET_DIR)/completions/bl-call.zsh $(SHARE)/zsh/site-functions/_bl-call
	install -m 644 $(CARGO_TARGET_DIR)/completions/bl-call.fish $(SHARE)/fish/vendor_completions.d/bl-call.fish

clean: ## Removes everything that was built.
	$(CARGO) clean
	rm -rf $(VENV) patterns/fuzz/target
