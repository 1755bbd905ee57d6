# What people and .ci/run call. The README's test command is `make test`.
.PHONY: check test e2e interop fuzz bench docs

check:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	scripts/documents
	@echo "locked packages: $$(grep -c '^\[\[package\]\]' Cargo.lock) (at most 450)"
	@test $$(grep -c '^\[\[package\]\]' Cargo.lock) -le 450

test:
	cargo test --workspace

e2e:
	cargo test -p gatepost --test e2e

# GATEPOST=path/to/gatepost: that one, and nothing is built.
interop:
	test -n "$$GATEPOST" || cargo build --release
	interop/run

fuzz:
	fuzz/run

bench:
	cargo build --release
	bench/run

docs:
	scripts/rfc.py --write
	scripts/config_reference.py
	GATEPOST_WRITE_DOCS=1 cargo test --quiet -p gatepost --bins the_page_of_commands
