#!/bin/sh
# Runs the fuzz targets, one after the other, from the seeds and the corpus; prints one line for each at the end.
#
#   run.sh                     all targets          RUNS=10000000 FUZZ_SECONDS=3600 are the defaults, for each target
#   run.sh frames session      these
#   run.sh minimise [target..] takes what was found into `corpus/`, keeping only what adds coverage
#
# Needs a nightly compiler and cargo-fuzz (`cargo install cargo-fuzz`). Works on a corpus of its own beside the build
# (FUZZ_WORK), so that the one in the repository changes by `minimise` alone. There is no sanitizer: the code has no
# unsafe, and the targets count allocations themselves. Exit status 1 if a target has crashed or hung (the time for
# that is long: it is the clock's, and a machine may sleep).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cd "$here"

RUNS=${RUNS:-10000000}
FUZZ_SECONDS=${FUZZ_SECONDS:-3600}
build=${CARGO_TARGET_DIR:-$here/target}
work=${FUZZ_WORK:-$build/fuzz-work}
all="greeting frames command endpoint session envelope"

# The longest input of each target, in bytes.
max_len() {
	case $1 in
	endpoint) echo 400 ;;
	session) echo 512 ;;
	*) echo 1024 ;;
	esac
}

fail() {
	echo "fuzz: $1" >&2
	exit 2
}

minimise=
if [ "${1:-}" = minimise ]; then
	minimise=yes
	shift
fi
targets=${*:-$all}
for target in $targets; do
	case " $all " in
	*" $target "*) ;;
	*) fail "there is no target $target; the targets are: $all" ;;
	esac
done
cargo +nightly --version >/dev/null 2>&1 ||
	fail "no nightly compiler; install one with: rustup toolchain install nightly"
cargo +nightly fuzz --version >/dev/null 2>&1 ||
	fail "no cargo-fuzz; install it with: cargo install cargo-fuzz"

fuzz() { # command, target, what follows
	command=$1
	shift
	cargo +nightly fuzz "$command" --fuzz-dir "$here" --target-dir "$build" --sanitizer none "$@"
}

if [ -n "$minimise" ]; then
	for target in $targets; do
		fuzz build "$target"
		# Seeds come first: what they cover needs no other file. How often a place is reached does not count,
		# so that the corpus stays small.
		merged=$work/$target.merged
		rm -rf "$merged"
		mkdir -p "$merged" "$work/$target" "corpus/$target"
		cp "seeds/$target"/* "$merged"
		fuzz run "$target" "$merged" "corpus/$target" "$work/$target" -- \
			-set_cover_merge=1 -use_counters=0 -max_len=4096 2>"$work/$target.merge.log" ||
			fail "minimising $target failed; see $work/$target.merge.log"
		rm -f "corpus/$target"/*
		for file in "$merged"/*; do
			[ -e "seeds/$target/$(basename "$file")" ] || cp "$file" "corpus/$target"
		done
		echo "fuzz $target: $(find "corpus/$target" -type f | wc -l) files, $(cat "corpus/$target"/* | wc -c) bytes"
	done
	exit 0
fi

summary=$work/summary
mkdir -p "$work"
: >"$summary"
status=0
for target in $targets; do
	fuzz build "$target"
	mkdir -p "$work/$target" "corpus/$target" "artifacts/$target"
	log=$work/$target.log
	crashes=0
	echo "fuzz $target: $RUNS runs, $FUZZ_SECONDS s at most; the log is $log"
	fuzz run "$target" "$work/$target" "corpus/$target" "seeds/$target" -- \
		-runs="$RUNS" -max_total_time="$FUZZ_SECONDS" -max_len="$(max_len "$target")" \
		-rss_limit_mb=1024 -timeout=600 -print_final_stats=1 >"$log" 2>&1 || crashes=1
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
	peak=$(sed -n 's/^peak_alloc_bytes=//p' "$log" | tail -n 1)
	line="fuzz $target: ${runs:-0} runs, $crashes crashes, peak alloc ${peak:-0} bytes"
	if [ $crashes -ne 0 ]; then
		status=1
		line="$line ($(sed -n 's/.*Test unit written to /input: /p' "$log" | tail -n 1))"
		tail -n 30 "$log" >&2
	fi
	echo "$line" >>"$summary"
done
cat "$summary"
exit $status
