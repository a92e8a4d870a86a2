#!/bin/bash
# Runs every benchmark of db_bench at a small size, so that none can rot: its
# result lines, its JSON, its exit codes, several threads and processes, every
# durability, an existing database.
#
#   smoke_test.sh DB_BENCH ENGINES
set -u

db_bench=$1
engines=$2
work=$(mktemp -d "${TEST_TMPDIR:-/tmp}/db_bench_smoke.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
out=$work/out
json=$work/results.json
all=fillseq,fillrandom,readrandom,readmissing,multireadrandom,overwrite
all+=,readwhilewriting,swapcounter,deleterandom,readrandom
ordered=fillseqbatch,fillrandbatch,readseq,readreverse,seekrandom
ordered+=,seekrandomwhilewriting,prefixscan,rangecount,diff,deleteseq,readseq

fail() {
  echo "FAILED: $*" >&2
  cat "$out" >&2
  exit 1
}

# Runs db_bench in a fresh directory and expects the exit code $1.
run() {
  local expected=$1
  shift
  "$db_bench" --engines="$engines" --num=2000 "$@" >"$out" 2>&1
  local code=$?
  [ "$code" -eq "$expected" ] || fail "exit code $code, not $expected: $*"
}

# Expects $1 lines that match $2.
lines() {
  local found
  found=$(grep -Ec -- "$2" "$out")
  [ "$found" -eq "$1" ] || fail "$found lines match '$2', not $1"
}

count=$(tr ',' '\n' <<<"$engines" | wc -l)
several=$(tr ',' '\n' <<<"$engines" | grep -vc rocksdb)
number='[0-9]+\.[0-9]+'
result="^[a-z]+ +: +$number micros/op [0-9]+ ops/sec $number seconds"
result+=" [0-9]+ operations; +$number MB/s"

run 0 --benchmarks=$all --repeat=2 --json="$json" --db="$work/db"
lines $((count * 2 * 10)) "$result"
lines $((count * 2 * 10)) "^Percentiles: P50: $number P75: $number P99: "
lines $((count * 2)) '^readmissing .*\(0 of 2000 found\)$'
# Before the deletions all keys are there.
lines $((count * 2 * 2)) '^(readwhile|multiread).*\(2000 of 2000 found\)$'
lines 1 '^Summary: medians'
for name in ${engines//,/ }; do
  lines 2 "^$name, turn [12] of 2$"
done

[ "$(wc -l <"$json")" -eq $((count * 2 * 10)) ] || fail 'lines of JSON'
for key in benchmark engine collection num threads processes micros_per_op \
  ops_per_sec p50_us p99_us p999_us found file_bytes disk_bytes; do
  [ "$(grep -c "\"$key\":" "$json")" -eq $((count * 2 * 10)) ] ||
    fail "JSON lacks $key"
done
if command -v python3 >/dev/null; then
  python3 -c 'import json, sys; [json.loads(l) for l in sys.stdin]' \
    <"$json" || fail 'JSON does not parse'
fi

run 0 --benchmarks=readrandom,overwrite,readmissing --db="$work/db" \
  --use_existing_db --settle
lines $((count * 3)) "$result"

run 0 --benchmarks=$all --processes=2 --threads=2 --db="$work/many"
lines $((several * 10)) "$result"

for durability in checkpoint sync; do
  run 0 --benchmarks=$all --durability=$durability --writes=200 --threads=2 \
    --batch_size=7 --key_size=24 --value_size=1000 --db="$work/$durability"
  lines $((count * 10)) "$result"
done

run 0 --benchmarks=bulkload,$ordered --db="$work/ordered"
lines $((count * 12)) "$result"
# Before the deletions all keys are there, and every count is right.
lines $((count * 2)) '^read(seq|reverse) .*\(2000 of 2000 found\)$'
lines $((count * 2)) '^seekrandom.* \(400 of 400 found\)$'
lines $count '^prefixscan .*\(4 of 4 found\)$'
lines $count '^rangecount .*\(500 of 500 found\)$'
lines $count '^diff .*\(3 of 3 found\)$'
run 0 --benchmarks=$ordered --threads=2 --db="$work/threads"
lines $((count * 11)) "$result"
run 0 --benchmarks=$all --collection=map --db="$work/map"
lines $((count * 10)) "$result"

space=fillrandom,overwritechurn,longreader,readwhilecompacting
space+=,readrandom,deleteall,readrandom
for collection in ordered map; do
  run 0 --benchmarks=$space --collection=$collection --churn_rounds=3 \
    --rest_seconds=0 --json="$json" --db="$work/space"
  lines $((count * 7)) "$result"
  lines $count '^readrandom .*\(2000 of 2000 found\)$'
  lines $((count * 2)) '^  rounds: 3$'
  lines $((count * 2)) "^  max file: $number MB$"
  for key in start final rested; do
    lines $count "^  $key disk: $number MB$"
  done
  lines $((count * 3)) "^  packed disk: $number MB$"
  lines $count "^  max to packed disk: ${number}x$"
  lines $count "^  max to bound disk: ${number}x$"
  # Only Eve counts what it moves.
  lines 2 "^  moved bytes per commit: [0-9.]+$"
  lines $((count * 2)) "^  (read|put) p999: ${number}x$"
  lines $((count * 4)) "^  (read|put) (idle|compacting) p999: $number us$"
  lines $((count * 2)) "^  (read|put) idle operations: 2000$"
  lines $count "^  packed to fresh disk: ${number}x$"
  # A tenth of the keys is left, and looked up at random.
  lines $count '^readrandom .*\((1[5-9]|2[0-4])[0-9] of 2000 found\)$'
  for key in max_file_bytes max_disk_bytes; do
    [ "$(grep -c "\"$key\":[0-9]*," "$json")" -eq $((count * 2)) ] ||
      fail "JSON lacks $key"
  done
  [ -z "$(find "$work/space" -name '*.scratch*')" ] || fail 'scratch is left'
done

run 2 --benchmarks=fillseq,readseq --collection=map
run 2 --benchmarks=fillseq,overwritechurn --threads=2
run 2 --benchmarks=overwritechurn
run 2 --benchmarks=fillseq,overwritechurn --churn_rounds=0
run 2 --benchmarks=bulkload --threads=2
run 2 --benchmarks=nosuch
run 2 --benchmarks=readrandom
run 2 --durability=nosuch
run 2 --num=0
run 2 --engines=nosuch
echo PASSED
