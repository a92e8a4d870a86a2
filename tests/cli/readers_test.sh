#!/usr/bin/env bash
# What readers, top and stat say of a process that holds a snapshot.
set -u
source tests/cli/testing.sh || exit 1
eve=$PWD/$1
holder=$PWD/$2
cd "$(mktemp -d "${TEST_TMPDIR:-/tmp}/eve-readers-XXXXXX")" || exit 1
# matches PATTERN COMMAND...: exit code 0, and the output is like it.
matches() {
  local pattern=$1 found
  shift
  found=$("$@" 2>stderr) || fail "$*: code $?: $(cat stderr)"
  # shellcheck disable=SC2053
  [[ $found == $pattern ]] || fail "$*: $found is not like $pattern"
}
# usage COMMAND...: exit code 2 and nothing on stdout.
usage() {
  local found
  found=$("$@" 2>stderr)
  [[ $? == 2 && -z $found && -s stderr ]] || fail "$*: no usage error"
}
# number_in JSON NAME
number_in() { sed -n "s/.*\"$2\":\([0-9]*\).*/\1/p" <<<"$1"; }

for verb in readers top; do
  "$eve" $verb no.eve >out 2>stderr
  [[ $? == 4 && ! -s out ]] || fail "$verb of a missing file"
done
[[ ! -e no.eve && ! -e no.eve-lock ]] || fail "reading created something"
usage "$eve" readers
usage "$eve" top
usage "$eve" top --interval=soon shop.eve
usage "$eve" top --interval=0s shop.eve
usage "$eve" top --interval=-1s shop.eve
usage "$eve" top --count=many shop.eve

# Nobody has it open.
"$eve" put shop.eve fruit apple red || fail "put"
matches '*nobody is attached' "$eve" readers shop.eve
matches '{"schema":1,"path":"shop.eve","version":*,"pinned_bytes":0,"readers":\[\]}' \
  "$eve" readers --json shop.eve
matches '*live_bytes*' "$eve" top --count=1 shop.eve

# One process with one pin on five megabytes.
mkfifo input output
"$holder" shop.eve <input >output &
pid=$!
exec 3>input 4<output
read -r version <&4 || fail "the holder does not come up"
matches "*pid*$pid     1          1 *version $version: lag 1, holds 5*" \
  "$eve" readers shop.eve
found=$("$eve" readers --json shop.eve)
[[ $found == *"\"pid\":$pid,\"lag\":1,"*"\"version\":$version,\"lag\":1,"* ]] ||
  fail "readers: $found"
[[ $(number_in "$found" pinned_bytes) -ge 5000000 ]] || fail "pinned: $found"
[[ $(number_in "$found" held_bytes) -ge 5000000 ]] || fail "held: $found"
[[ $(grep -o '"slot"' <<<"$found" | wc -l) == 1 ]] ||
  fail "readers lists itself: $found"
found=$("$eve" stat --json shop.eve)
[[ $(number_in "$found" pinned_bytes) -ge 5000000 ]] || fail "stat: $found"
[[ $(number_in "$found" dead_bytes) -ge 5000000 ]] || fail "stat: $found"
[[ $(number_in "$found" oldest_pin_lag) == 1 ]] || fail "stat: $found"
[[ $found == *'"write_amplification":1.000,'* ]] || fail "stat: $found"
matches '*pinned_bytes*write_amplification 1.00*' "$eve" stat shop.eve

# top: one look, then several; rates from the second on.
matches "*pinned_bytes*$pid*" "$eve" top --count=1 shop.eve
[[ $("$eve" top --count=1 shop.eve) != *commits*/s* ]] ||
  fail "a first look has rates"
matches '*commits *0/s*' "$eve" top --count=2 --interval=1ms shop.eve
found=$("$eve" top --count=3 --interval=1ms --json shop.eve)
[[ $(wc -l <<<"$found") == 3 ]] || fail "top --json --count=3: $found"
[[ $(grep -c commits_per_second <<<"$found") == 2 ]] || fail "rates: $found"
[[ $(grep -c "\"processes\":1,\"pins\":1,\"oldest_pin_lag\":1," <<<"$found") == 3 ]] ||
  fail "levels: $found"
# It ends without a word when nobody reads, and on Ctrl-C.
"$eve" top --interval=1ms shop.eve 2>stderr | head -1 >out
[[ ${PIPESTATUS[0]} =~ ^(0|141)$ && -s out && ! -s stderr ]] ||
  fail "top | head: $(cat stderr)"
mkfifo looks
(trap - INT; exec "$eve" top --interval=1h shop.eve) >looks 2>stderr &
top=$!
exec 5<looks
read -r _ <&5
kill -INT $top
wait $top
[[ $? == 130 && ! -s stderr ]] || fail "Ctrl-C: $(cat stderr)"
exec 5<&-

# The pin goes with its process.
kill -KILL $pid
wait $pid 2>stderr
exec 3>&- 4<&-
"$eve" put shop.eve fruit pear green || fail "put after the death"
found=$("$eve" stat --json shop.eve)
[[ $(number_in "$found" pinned_bytes) == 0 ]] || fail "after the death: $found"
# Alone, without a slot of its own, it does not take itself for another.
[[ $found == *'"has_unpinned_reader":false'* ]] || fail "alone: $found"

[[ $failures == 0 ]] || { echo "$failures failures" >&2; exit 1; }
