#!/bin/bash
# Runs every benchmark of db_bench at a small size, so that none can rot: its
# result lines, its JSON, its exit codes, several threads and processes, every
# durability, an existing database, what the flags promise.
#
#   smoke_test.sh DB_BENCH ENGINES
set -u

db_bench=$1
engines=$2
work=$(mktemp -d "${TEST_TMPDIR:-/tmp}/db_bench_smoke.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
out=$work/out
json=$work/results.json
all=fillseq,fillbatch,fillrandom,readrandom,readhot,readmissing
all+=,multireadrandom,overwrite,updaterandom,readrandomwriterandom
all+=,readwhilewriting,swapcounter,deleterandom,readrandom
ordered=fillseqbatch,fillrandbatch,readseq,readreverse,seekrandom,seekordered
ordered+=,seekrandomwhilewriting,readwhilescanning,prefixscan,rangecount,diff
ordered+=,deleteseq,readseq

fail() {
  echo "FAILED: $*" >&2
  cat "$out" >&2
  exit 1
}

# Runs db_bench in a fresh directory and expects the exit code $1.
run() {
  local expected=$1
  shift
  "$db_bench" --engines="$engines" --num=2000 "$@" >"$out" 2>"$out.err"
  local code=$?
  cat "$out.err" >>"$out"
  [ "$code" -eq "$expected" ] || fail "exit code $code, not $expected: $*"
}

# Expects $1 lines that match $2.
lines() {
  local found
  found=$(grep -Ec -- "$2" "$out")
  [ "$found" -eq "$1" ] || fail "$found lines match '$2', not $1"
}

# Expects all keys where an engine has an order, and right counts.
ordered_lines() {
  lines $((sorted * 2)) '^read(seq|reverse) .*\(2000 of 2000 found\)$'
  lines $((sorted * 3)) '^seek(random|ordered).* \(400 of 400 found\)$'
  lines $sorted '^prefixscan .*\(4 of 4 found\)$'
  lines $sorted '^rangecount .*\(500 of 500 found\)$'
}

# Expects that awk finds $* to be true.
holds() {
  awk "BEGIN { exit !($*) }" || fail "not true: $*"
}

# Field $3 of benchmark $1 on engine $2 in the JSON.
field() {
  grep "\"benchmark\":\"$1\",\"engine\":\"$2\"" "$json" | tail -1 |
    sed -E "s/.*\"$3\":\"?([^,\"}]*).*/\\1/"
}

# How many of the engines are not among $*.
but() {
  local pattern
  pattern=$(IFS='|'; echo "$*")
  tr ',' '\n' <<<"$engines" | grep -Evxc "$pattern"
}

count=$(but none)
several=$(but rocksdb leveldb tkrzw)
sorted=$(but tkrzw)
number='[0-9]+\.[0-9]+'
result="^[a-zA-Z0-9]+ +: +$number micros/op [0-9]+ ops/sec $number seconds"
result+=" [0-9]+ operations; +$number MB/s"

run 0 --benchmarks=$all --repeat=2 --json="$json" --db="$work/db"
lines $((count * 2 * 14)) "$result"
lines $((count * 2 * 14)) "^Percentiles: P50: $number P75: $number P99: "
lines $((count * 2)) '^readmissing .*\(0 of 2000 found\)$'
# Before the deletions all keys are there.
lines $((count * 2 * 3)) '^(readwhile|readhot|multiread).*\(2000 of 2000 found\)$'
lines $((count * 2)) '^updaterandom .*\( updates:2000 found:2000\)$'
lines $((count * 2)) \
  '^readrandomwriter.*\( reads:1800 writes:200 total:2000 found:1800\)$'
lines 1 '^Summary: medians'
lines $((count * 2 * 14)) "^  cpu: $number s$"
lines 14 "^  [a-z]+( +$number){$count}\$"
for name in ${engines//,/ }; do lines 2 "^$name, turn [12] of 2$"; done

[ "$(wc -l <"$json")" -eq $((count * 2 * 14)) ] || fail 'lines of JSON'
for key in benchmark engine collection num threads processes micros_per_op \
  cpu_seconds ops_per_sec p50_us p99_us p999_us lookups found bytes file_bytes \
  disk_bytes; do
  [ "$(grep -c "\"$key\":" "$json")" -eq $((count * 2 * 14)) ] ||
    fail "JSON lacks $key"
done
if command -v python3 >/dev/null; then
  python3 -c 'import json, sys; [json.loads(l) for l in sys.stdin]' \
    <"$json" || fail 'JSON does not parse'
fi

run 0 --benchmarks=readrandom,overwrite,readmissing --db="$work/db" \
  --use_existing_db --settle
lines $((count * 3)) "$result"

run 0 --benchmarks=fillrandom,multiprocread,multiprocwrite,multiprocwriteown,watchlatency \
  --processes=2 --writes=500 --db="$work/watch"
lines "$(($(but none) - $(but eve)))" '^watchlatency .* operations'
lines "$(($(but none) - $(but eve lmdb)))" '^multiprocwriteown .* 500 operations'
run 2 --benchmarks=watchlatency --db="$work/alone"
run 0 --benchmarks=$all --processes=2 --threads=2 --db="$work/many"
lines $((several * 14)) "$result"

for durability in checkpoint sync; do
  run 0 --benchmarks=$all --durability=$durability --writes=200 --threads=2 \
    --batch_size=7 --key_size=24 --value_size=1000 --db="$work/$durability"
  lines $((count * 14)) "$result"
done

run 0 --benchmarks=bulkload,$ordered --db="$work/ordered"
# Tkrzw has no order, LevelDB no bulk load, and both say so.
lines $((count * 3 + sorted * 10 + $(but leveldb tkrzw))) "$result"
lines $(((count - sorted) * 9)) '^[a-z]+ left out: its keys have no order$'
lines $((count - sorted)) '^diff left out: it has no snapshots$'
lines $((count - $(but leveldb tkrzw))) '^bulkload left out: it has no way'
# Before the deletions all keys are there, and every count is right.
ordered_lines
lines $sorted '^readwhilescanning .*\(2000 of 2000 found\)$'
lines $sorted '^diff .*\(3 of 3 found\)$'
run 0 --benchmarks=$ordered --threads=2 --db="$work/threads"
lines $((count * 3 + sorted * 10)) "$result"
# Values that are as short as they can be verified.
run 0 --benchmarks=$ordered --key_size=8 --value_size=8 --db="$work/short"
lines $((count * 3 + sorted * 10)) "$result"
ordered_lines
# Keys that are integers: each engine has them in its own way, and all find the
# same in the same order.
run 0 --benchmarks=bulkload,$ordered,$all --key_type=int64 --value_size=8 \
  --json="$json" --db="$work/ints"
lines $((count * 17 + sorted * 10 + $(but leveldb tkrzw))) "$result"
lines $((count * 1)) '^readmissing .*\(0 of 2000 found\)$'
ordered_lines
lines 1 '^Keys: +8 bytes each \(integers: '
for name in ${engines//,/ }; do
  [ "$(field readrandom "$name" key_type)" = int64 ] || fail "key_type of $name"
  [ "$(field readrandom "$name" key_size)" = 8 ] || fail "key_size of $name"
done
run 0 --benchmarks=$all --key_type=int64 --collection=map --db="$work/ints"
lines $((count * 14)) "$result"

run 0 --benchmarks=$all --collection=map --db="$work/map"
lines $((count * 14)) "$result"

# What follows a fill that is left out is left out as well.
run 0 --benchmarks=bulkload,readrandom --db="$work/bulk"
lines $((count - $(but leveldb tkrzw))) '^readrandom left out: .* bulkload$'

# Parts of the keys; large values are verified like all others.
run 0 --benchmarks=fillsync,readrandom,fill100K,readrandom,readseq \
  --num=5000 --json="$json" --db="$work/parts"
lines $((count * 2)) '^fill(sync|100K) .* 5 operations'
for name in ${engines//,/ }; do
  [ "$(field fill100K "$name" bytes)" = $((5 * 100016)) ] ||
    fail "fill100K on $name: not five large values"
  # What is said of them is what was done.
  conditions=$(for benchmark in fillsync fill100K readseq; do
    field $benchmark "$name" durability
    field $benchmark "$name" value_size
  done | tr '\n' ' ')
  want='sync 100 none 100000 none 100000 '
  [ "$name" = tkrzw ] && want='sync 100 none 100000 '
  [ "$conditions" = "$want" ] || fail "conditions on $name: $conditions"
  lines 1 "^  durability of this one: sync, $name: [^ ]"
done
lines 1 '^Durability: none, but in fillsync sync'
lines 1 '^Batches: .* 1 in those that sync, in fill100K and elsewhere$'
[ "$(field fillsync "eve" batch_size)" = 1 ] || fail 'batch of fillsync'
lines 1 '^Values: .* bytes after compression\), but in fill100K 100000$'
# After fill100K it is what readrandom, and readseq where it can, find.
lines $((count * 2 + sorted)) '^  values of this one: 100000 bytes each$'
lines 1 '^eve: .*Durability::kNone, but in fillsync Durability::kSync;'
[[ $engines != *lmdb* ]] || lines 2 'no flags: fdatasync in each commit'
[[ $engines != *lmdb* ]] || lines 1 \
  '^lmdb: .* in bulkload and, with one worker, in fillseq, fillbatch, fillseqbatch and fillseqsync'
# The first of the keys in order, or as many at random.
run 0 --benchmarks=fillseqsync,waitforcompaction,readhot,fillrandsync,readhot \
  --num=10000 --json="$json" --db="$work/parts"
lines $((count * 2)) '^fill(seq|rand)sync .* 10 operations'
lines $((count * 2)) '^  durability of this one: sync, '
for step in started finished; do
  lines $count "^waitforcompaction\($work/parts/[a-z]+\): $step$"
done
engines=eve run 0 --benchmarks=fillsync --report="$work/sync.html" \
  --db="$work/sync"
lines 1 '^Durability: sync'
lines 1 '^eve: +Durability::kSync;'
[ "$(grep -c kNone "$work/sync.html")" -eq 0 ] || fail 'the page says kNone'
grep -q '<li>durability of this one: sync, eve: ' "$work/sync.html" ||
  fail 'the page does not say that fillsync syncs'

# What is no database syncs, in several threads and processes, and no more.
for workers in --threads=1 --threads=3 --processes=2; do
  engines=eve,bare run 0 --benchmarks=fillsync,readrandom,fillseqsync,stats \
    --num=9000 --json="$json" --db="$work/bare" $workers
  lines 4 '^fill(seq)?sync .* 9 operations'
  lines 1 '^readrandom left out: it is no database, and there for what syncs$'
  lines 2 "^  durability of this one: sync, bare: fdatasync after each$"
  lines 1 "^  fillsync .* ${number}x$"
done

# As RocksDB's tools/benchmark.sh takes the output of one benchmark apart: the
# same lines, and the same fields of them.
first=${engines%%,*}
near() { holds "($1 - $2) <= $3 && ($2 - $1) <= $3"; }
run 0 --benchmarks=fillrandom --db="$work/one"
engines=$first run 0 --benchmarks=readrandom --histogram --use_existing_db \
  --json="$json" --db="$work/one"
# Line, field in it, field of the JSON, by how much they may differ.
while read -r start column name slack; do
  lines 1 "^$start"
  near "$(grep "^$start" "$out" | awk "{ print \$$column }")" \
    "$(field readrandom "$first" "$name")" "$slack"
done <<'EOF'
readrandom 3 micros_per_op 0.0006
readrandom 5 ops_per_sec 0.51
readrandom 7 seconds 0.0006
readrandom 9 operations 0
Percentiles: 3 p50_us 0.0051
Percentiles: 7 p99_us 0.0051
Percentiles: 9 p999_us 0.0051
Percentiles: 11 p9999_us 0.0051
Min: 6 max_us 0.0051
EOF
grep ^readrandom "$out" |
  awk '{ if (NF >= 10 && $8 == "seconds") print "V2"; else print "V1" }' |
  grep -qx V2 || fail 'the result line is not of the newer form'
near "$(grep ^readrandom "$out" | awk '{ print $11 }')" \
  "116 / 1048576 * $(field readrandom "$first" ops_per_sec)" 0.051
grep ^readrandom "$out" | awk '{print $4, $6, $8, $9, $10, $12}' |
  grep -qx 'micros/op ops/sec seconds 2000 operations; MB/s' ||
  fail 'the words of the result line'
grep '^Min: ' "$out" | grep Median: | grep -q Max: || fail 'Median: or Max:'
# It makes 2026-Nov-25T10:32:31 of what ctime() prints.
date=$(grep ^Date: "$out" | awk '{ print $6 "-" $3 "-" $4 "T" $5 }')
[[ $date =~ ^20[0-9]{2}-[A-Z][a-z]{2}-[0-9]{1,2}T[0-9:]{8}$ ]] ||
  fail "the date is '$date'"
lines 1 '^Date:       [A-Z][a-z]{2} [A-Z][a-z]{2} [ 1-3][0-9] '
version=$(grep ^Eve: "$out" | awk '{ print $3 }')
[[ $version =~ ^[0-9.]+$ ]] || fail "the version is '$version'"
if [[ $engines == *rocksdb* ]]; then
  run 0 --benchmarks=fillrandom,waitforcompaction,stats --db="$work/one"
  for name in Eve LMDB RocksDB LevelDB Tkrzw; do
    lines $(($(but "${name,,}") < count)) "^$name: +version [0-9.]+$"
  done
  # Of engines that compact, it also reads what the `stats` of RocksDB says.
  for start in 'Uptime\(secs' 'Cumulative stall' 'Cumulative compaction' \
    'Flush\(GB\)' ' Sum'; do
    grep -Eq "^$start" "$out" || fail "the stats of RocksDB lack '$start'"
  done
  # What was written is no longer in memory only.
  lines 1 '^ Sum +[1-9]'
fi

# The rows of a histogram are all that was measured.
engines=$first run 0 --benchmarks=fillrandom,readrandom --histogram \
  --db="$work/one"
rows=$(sed -n '/^readrandom/,/^Summary/p' "$out" |
  awk '/^\[/ { sum += $5 } END { print sum }')
[ "$rows" -eq 2000 ] || fail "the histogram holds $rows of 2000"
lines 2 '^Microseconds per op:$'
lines 2 '^Count: [0-9]+ Average: '
lines 2 '^Percentiles:'

# The block above the results is LevelDB's, from its first line to its last.
head=$(sed -n '/^Keys: /,/^-----/p' "$out" | grep -v ^WARNING: | cut -c1-12)
[ "$head" = "Keys:       
Values:     
Entries:    
RawSize:    
FileSize:   
------------" ] || fail "the header block is '$head'"
lines 1 '^Values:     100 bytes each \(50 bytes after compression\)$'
for name in CPU Memory Kernel Filesystem Build Durability; do
  lines 1 "^$name: +[^ ]"
done
lines 1 "^$first: .*Durability::kNone"

# By time: not before it is over, and whatever the counts are.
engines=$first run 0 --benchmarks=fillrandom,readrandom,readseq,swapcounter \
  --duration=2 --stats_interval_seconds=1 --reads=10 --writes=10 --threads=2 \
  --report_interval_seconds=1 --report_file="$work/rows.csv" \
  --json="$json" --db="$work/time"
for name in readrandom swapcounter; do
  holds "$(field $name "$first" seconds) >= 2"
  holds "$(field $name "$first" operations) > 10"
done
[ "$(field readseq "$first" operations)" = 10 ] || fail 'readseq by time'
[ "$(field fillrandom "$first" operations)" = 2000 ] || fail 'a fill by time'
stamp='[0-9]{4}/[0-9]{2}/[0-9]{2}-[0-9:]{8}'
report="^$stamp  \.\.\. thread [01]: \([0-9]+,[0-9]+\) ops and "
report+="\($number,$number\) ops/second in \($number,$number\) seconds$"
grep -Eq "$report" "$out.err" || fail 'no reports in between'

# Rows of what was done meanwhile: less than all of it, since the last part of a
# second has none.
[ "$(head -1 "$work/rows.csv")" = \
  secs_elapsed,interval_qps,engine,benchmark ] || fail 'the columns of the rows'
for name in readrandom swapcounter; do
  done=$(awk -F, -v name="$name" -v engine="$first" '$1 >= 1 && $1 <= 3 &&
    $3 == engine && $4 == name { sum += $2 } END { print sum + 0 }' \
    "$work/rows.csv")
  holds "$done > 0 && $done <= $(field $name "$first" operations)"
done
if command -v script >/dev/null; then
  # On a terminal, progress is shown; elsewhere, as above, it is not.
  grep -q '\.\.\. finished' "$out.err" && fail 'progress without a terminal'
  for progress in true false; do
    script -qec "'$db_bench' --engines=$first --benchmarks=fillseq,readrandom \
      --num=2000 --duration=2 --progress_reports=$progress \
      --db='$work/time'" /dev/null </dev/null >"$out" || fail 'in a terminal'
    grep -Eqa '\.\.\. finished [1-9][0-9]* ops ' "$out"
    [ $? -eq $([ $progress = true ]; echo $?) ] || fail "progress $progress"
  done
fi

# All workers together write 100,000 bytes a second.
engines=$first run 0 --benchmarks=fillrandom,overwrite,readrandomwriterandom \
  --num=200 --threads=2 --writes=1000 --readwritepercent=0 \
  --benchmark_write_rate_limit=100000 --json="$json" --db="$work/rate"
holds "$(field fillrandom "$first" seconds) < 1"
holds "$(field overwrite "$first" seconds) >= 0.99 * 999 * 116 / 100000"
holds "$(field readrandomwriterandom "$first" seconds) >= 0.99 * 1.15"
# Waiting is no latency.
holds "$(field overwrite "$first" p50_us) < 1000"

# A seek steps on so often: it passes --seek_nexts + 1 entries of 116 bytes.
for steps in 0 3; do
  engines=$first run 0 --benchmarks=fillrandom,seekrandom --reads=5000 \
    --seek_nexts=$steps --json="$json" --db="$work/seek"
  bytes=$(field seekrandom "$first" bytes)
  holds "$bytes > 0.99 * 116000 * ($steps + 1)"
  holds "$bytes <= 116000 * ($steps + 1)"
done

for sizes in uniform normal; do
  run 0 --benchmarks=$all,fillrandom,overwritechurn --churn_rounds=1 \
    --rest_seconds=0 --value_size_distribution_type=$sizes \
    --value_size_min=20 --value_size_max=2020 --json="$json" --db="$work/sizes"
  lines $((count * 16)) "$result"
  lines 1 "^Values:     1020 bytes on average, 20 to 2020, $sizes "
  for name in ${engines//,/ }; do
    bytes=$(field readrandom "$name" bytes)
    each=$((bytes / $(field readrandom "$name" found) - 16))
    holds "$each > 900 && $each < 1140"
  done
done

for distribution in zipf latest; do
  run 0 --benchmarks=$all --distribution=$distribution --db="$work/skew"
  lines $((count * 14)) "$result"
  lines $((count * 3)) \
    '^(readwhile|readhot|multiread).*\(2000 of 2000 found\)$'
done
run 0 --benchmarks=fillrandom,readrandom,multireadrandom \
  --read_random_exp_range=10 --db="$work/skew"
lines $((count * 2)) '^(multi)?readrandom .*\(2000 of 2000 found\)$'

# It is the work that takes processor time, not the thread that waits for it.
for num in 2000 100000; do
  engines=eve run 0 --benchmarks=fillrandom --num=$num --json="$json" \
    --db="$work/cpu"
  cpu[num]=$(field fillrandom eve cpu_seconds)
done
holds "${cpu[100000]} > 3 * ${cpu[2000]}"

# What concerns the database as a whole.
run 0 --benchmarks=fillrandom,overwrite,compact,open,readrandom,crc32c \
  --num=20000 --reads=1000 --json="$json" --db="$work/whole"
lines $((count + $(but lmdb))) "^(open .* 2|compact .* 1) operations"
lines $((count - $(but lmdb))) '^compact left out: it cannot compact in place$'
lines $((count - 1)) '^crc32c left out: its checksum is not public$'
lines 1 '^crc32c .* 128000 operations.*\(4K per op; XXH3-64, not CRC-32C\)$'
# No processor sums up 500 MB in 5 ms.
holds "$(field crc32c eve cpu_seconds) > 0.005"
lines $((count * 1)) '^readrandom .*\(1000 of 1000 found\)$'
for key in open close; do lines $count "^  $key: $number us$"; done

run 0 --benchmarks=fillsync,stats,fillrandom,stats --db="$work/stats"
run 0 --benchmarks=fillseq --statistics=1 --db="$work/stats"
lines $count '^STATISTICS:$'
engines=eve run 0 --benchmarks=fillseq --statistics --db="$work/stats"
lines 1 '^commits: [0-9]+$'
# A synced commit is durable at once; without sync only what was closed is.
engines=eve run 0 --benchmarks=fillsync,stats,fillrandom,stats \
  --db="$work/stats"
lines 2 '^commits: [0-9]+$'
versions=$(awk '/^version:/ { v = $2 } /^durable version:/ { print v - $3 }' \
  "$out" | tr '\n' ' ')
[[ $versions =~ ^0\ [1-9] ]] || fail "versions not durable: $versions"

if [[ $engines == *rocksdb* ]]; then
  # Values shrink if somebody compresses them, about as far as was asked for.
  sizes=()
  for type in none snappy; do
    engines=rocksdb,leveldb run 0 --benchmarks=fillrandom,compact \
      --value_size=1000 --compression_ratio=0.25 --compression_type=$type \
      --json="$json" --db="$work/snappy"
    for name in rocksdb leveldb; do
      sizes+=("$(field compact $name after_file_bytes)")
    done
  done
  for i in 0 1; do
    holds "${sizes[$((i + 2))]} > 0.15 * ${sizes[$i]}"
    holds "${sizes[$((i + 2))]} < 0.45 * ${sizes[$i]}"
  done
fi

space=fillrandom,overwritechurn,longreader,readwhilecompacting
space+=,readrandom,deleteall,readrandom
for collection in ordered map; do
  run 0 --benchmarks=$space --collection=$collection --churn_rounds=3 \
    --rest_seconds=0 --json="$json" --db="$work/space"
  # Tkrzw has no snapshot to hold.
  lines $((count * 6 + sorted)) "$result"
  lines $count '^readrandom .*\(2000 of 2000 found\)$'
  lines $((count + sorted)) '^  rounds: 3$'
  lines $((count + sorted)) "^  max file: $number MB$"
  for key in start final rested; do lines $count "^  $key disk: $number MB$"; done
  lines $((count * 2 + sorted)) "^  packed disk: $number MB$"
  lines $count "^  max to packed disk: ${number}x$"
  lines $sorted "^  max to bound disk: ${number}x$"
  # Only Eve counts what it moves.
  lines 2 "^  moved bytes per commit: [0-9.]+$"
  lines $((count * 2)) "^  (read|put) p999: ${number}x$"
  lines $((count * 4)) "^  (read|put) (idle|compacting) p999: $number us$"
  lines $((count * 2)) "^  (read|put) idle operations: 2000$"
  lines $count "^  packed to fresh disk: ${number}x$"
  # A tenth of the keys is left, and looked up at random.
  lines $count '^readrandom .*\((1[5-9]|2[0-4])[0-9] of 2000 found\)$'
  for key in max_file_bytes max_disk_bytes; do
    [ "$(grep -c "\"$key\":[0-9]*," "$json")" -eq $((count + sorted)) ] ||
      fail "JSON lacks $key"
  done
  [ -z "$(find "$work/space" -name '*.scratch*')" ] || fail 'scratch is left'
done

run 2 --benchmarks=fillseq,readseq --collection=map
run 2 --benchmarks=fillseq,overwritechurn --threads=2
run 2 --benchmarks=overwritechurn
run 2 --benchmarks=fillseq,overwritechurn --churn_rounds=0
run 2 --benchmarks=bulkload --threads=2
run 2 --benchmarks=fillseq,open --threads=2
run 2 --nosuch
lines 1 "^ERROR: Unknown command line flag 'nosuch'"
run 2 --nosuch=1 --alsonot
run 0 --benchmarks=fillseq --undefok=nosuch --nosuch=1 --db="$work/one"
run 2 --num=abc
lines 1 "^ERROR: Illegal value 'abc' specified for flag 'num'"
run 2 nosuch
run 2 --value_size_min=200 --value_size_max=100
run 2 --benchmarks=fillseq,multiprocwriteown --key_type=int64
run 2 --report_interval_seconds=1 --report_file=/nosuch/report.csv
for flag in benchmarks=nosuch benchmarks=readrandom durability=nosuch num=0 \
  engines=nosuch distribution=nosuch read_random_exp_range=-1 \
  value_size_distribution_type=nosuch value_size=7 key_type=nosuch \
  compression_ratio=0 compression_type=nosuch duration=-1 \
  stats_interval_seconds=-1 report_interval_seconds=-1 \
  benchmark_write_rate_limit=-1 readwritepercent=101; do
  run 2 --$flag
done
run 2 --report=/nosuch/report.html
lines 1 'db_bench: --report: /nosuch/report.html: No such file'
run 2 --json=/nosuch/results.json

# An engine that is not built in is left out, with a reason; alone it is an
# error.
for name in lmdb rocksdb leveldb tkrzw; do
  [[ ,$engines, != *,$name,* ]] || continue
  engines=eve,$name run 0 --benchmarks=fillseq --db="$work/missing"
  lines 1 "^$name: left out, not built in \(lib$name-dev was missing\)$"
  lines 1 "$result"
  engines=$name run 2 --benchmarks=fillseq --db="$work/missing"
done

"$db_bench" --help >"$out" 2>&1 || fail '--help'
for name in ${all//,/ } ${ordered//,/ } ${space//,/ } fillsync fill100K open \
  stats compact crc32c waitforcompaction fillseqsync fillrandsync; do
  lines 1 "^  $name$"
done
for name in histogram duration stats_interval_seconds read_random_exp_range \
  seek_nexts compression_ratio benchmark_write_rate_limit report; do
  lines 1 "^  --$name(=|$)"
done
[ "$(awk '{ if (length($0) > 80) print }' "$out" | grep -vc ' *--')" -eq 0 ] ||
  fail 'the help is too wide'
echo PASSED
