#!/bin/sh
# Runs each fuzzer for $1 seconds. What it finds to try further stays out of the corpus.
set -eu
cd "$(dirname "$0")/.."
missing() {
    echo "make fuzz needs $1: $2" >&2
    exit 1
}
cargo +nightly --version >/dev/null 2>&1 ||
    missing "a nightly toolchain" "rustup toolchain install nightly"
cargo +nightly fuzz --version >/dev/null 2>&1 ||
    missing "cargo-fuzz" "cargo install cargo-fuzz --locked"
cargo +nightly fuzz build
for file in fuzz/fuzz_targets/*.rs; do
    target=$(basename "$file" .rs)
    found=fuzz/target/found/$target
    mkdir -p "$found"
    echo "== $target, for $1 s"
    cargo +nightly fuzz run "$target" "$found" "fuzz/corpus/$target" -- \
        -max_total_time="$1" -max_len=4096 -timeout=10 -verbosity=0
done
echo "Nothing was found."
