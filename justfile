# `just` lists these.
_default:
    @just --list

# the development stack: installs what is missing, builds, runs
up *args:
    scripts/up {{args}}

# everything there is to check
test:
    scripts/test

# the crash and race tests, over and over for as long as asked
soak minutes="10":
    #!/usr/bin/env bash
    set -euo pipefail
    cargo test --test it --no-run
    end=$((SECONDS + 60 * {{minutes}}))
    while [ "$SECONDS" -lt "$end" ]; do cargo test --quiet --test it -- crash races; done

# 64 writers of four tenants while replicas die and PowerDNS restarts
writers seed="" minutes="5":
    #!/usr/bin/env bash
    set -euo pipefail
    if [ -n "{{seed}}" ]; then export SCAIDNS_TEST_SEED="{{seed}}"; fi
    SCAIDNS_CHAOS_SECONDS=$((60 * {{minutes}})) cargo test --test it -- chaos::sixty_four

# kill, stop, slow and cut off all servers at random under load, then compare everything with everything
chaos seed="" minutes="20":
    #!/usr/bin/env bash
    set -euo pipefail
    if [ -n "{{seed}}" ]; then export SCAIDNS_TEST_SEED="{{seed}}"; fi
    SCAIDNS_CHAOS_SECONDS=$((60 * {{minutes}})) cargo test --test it -- chaos::whatever

# fuzz every parser of foreign input, each for so many seconds
fuzz seconds="60":
    SCAIDNS_FUZZ_SECONDS={{seconds}} cargo test --lib -- tests::fuzz --nocapture

# the same guided by coverage, all targets or one, each for so many seconds
fuzz-deep seconds="300" target="":
    #!/usr/bin/env bash
    set -euo pipefail
    if ! { cargo +nightly --version && cargo fuzz --version; } >/dev/null 2>&1; then
        echo "fuzz-deep needs nightly Rust and cargo-fuzz: rustup toolchain install nightly && cargo install --locked cargo-fuzz" >&2
        exit 1
    fi
    target="{{target}}"
    for name in ${target:-$(cargo +nightly fuzz list)}; do
        found="$PWD/fuzz/target/found/$name" seeds="$PWD/fuzz/target/seeds/$name" kept="$PWD/fuzz/corpus/$name"
        mkdir -p "$found" "$seeds" "$kept"
        FUZZ_SEEDS="$seeds" cargo +nightly fuzz run --sanitizer none "$name" "$found" "$seeds" "$kept" -- \
            -max_total_time={{seconds}} -timeout=5 -max_len=8192 -dict="$PWD/fuzz/words.dict"
    done

# rewrite the sources in the house's format
fmt:
    cargo fmt

# what the compiler and clippy have to say
lint:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings

# the same work against PowerDNS and through ScaiDNS, side by side: docs/benchmarks.md
bench *args:
    cargo bench --bench side_by_side -- {{args}}

# half of what the machine can do, for so many minutes: memory and latency as curves, docs/benchmarks.md
endurance minutes="30":
    cargo bench --bench side_by_side -- --soak {{minutes}}
