#!/bin/bash
# A db_bench that a signal ends removes its temporary database first, leaves no
# worker behind, says nothing, and ends as by that signal.
#
#   interrupt_test.sh DB_BENCH
set -u
# With job control a program in the background is a process group of its own,
# as in a terminal, and does not ignore interrupts.
set -m
db_bench=$1
work=$(mktemp -d "${TEST_TMPDIR:-/tmp}/db_bench_interrupt.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
export TMPDIR=$work/tmp
database=$TMPDIR/eve_db_bench/eve/bench.eve
mkdir "$TMPDIR"
mkfifo "$work/out"

fail() {
  echo "FAILED: $*" >&2
  cat "$work/err" >&2
  exit 1
}

# Runs db_bench until its second benchmark, which takes a day, has begun.
begin() {
  "$db_bench" --engines=eve --num=2000 --processes=2 --duration=86400 \
    --benchmarks=fillrandom,readrandom "$@" >"$work/out" 2>"$work/err" &
  pid=$!
  exec 3<"$work/out"
  local line
  while read -r line <&3; do
    [[ $line != fillrandom* ]] || return
  done
  fail 'it has ended'
}

# Expects that it ends with the exit code $1. The end of the output comes when
# the last of its processes has closed it.
ends() {
  cat <&3 >"$work/rest"
  exec 3<&-
  wait "$pid"
  local code=$?
  [ "$code" -eq "$1" ] || fail "exit code $code, not $1"
  [ ! -s "$work/err" ] || fail 'it complains'
}

# A terminal sends its signals to the workers too. 0x5003 are the bits of HUP,
# INT, PIPE and TERM, of which the first is 1.
begin
read -r -a workers <"/proc/$pid/task/$pid/children"
[ ${#workers[@]} -eq 2 ] || fail "not two workers: ${workers[*]}"
for worker in "${workers[@]}"; do
  ignored=0x$(awk '/^SigIgn:/ { print $2 }' "/proc/$worker/status")
  [ $((ignored & 0x5003)) -eq $((0x5003)) ] || fail "workers ignore $ignored"
done
kill "$pid"
ends 143

for signal in INT TERM HUP; do
  # From kill, and from a terminal or `timeout`: to the workers as well.
  for target in '' -; do
    begin
    [ -e "$database" ] || fail 'the database is not where it was looked for'
    kill -$signal -- "$target$pid"
    ends $((128 + $(kill -l $signal)))
    [ -z "$(ls -A "$TMPDIR")" ] || fail "after $signal$target it leaves files"
  done
done

# What was asked for stays: the database of --db, and the report so far.
begin --db="$work/kept" --report="$work/page.html"
kill -INT "$pid"
ends 130
[ -e "$work/kept/eve/bench.eve" ] || fail 'the database of --db is gone'
grep -q 'The run was interrupted' "$work/page.html" || fail 'no report'
grep -q 'data-workload="fillrandom"' "$work/page.html" || fail 'no results'

# A reader that goes after the first line, while more than a pipe holds is
# still to come.
many=$(printf 'readrandom,%.0s' {1..400})
"$db_bench" --engines=eve --num=2000 --histogram --reads=500 \
  --benchmarks="fillrandom,$many" 2>"$work/err" | head -1 >"$work/first"
code=${PIPESTATUS[0]}
[ "$code" -eq 141 ] || fail "exit code $code, not 141"
grep -q '^Eve: ' "$work/first" || fail 'no first line'
[ -z "$(ls -A "$TMPDIR")" ] || fail 'after SIGPIPE it leaves files'
[ ! -s "$work/err" ] || fail 'it complains'
echo PASSED
