#!/usr/bin/env bash
# Many that write at once, each a process that opens, commits and closes: all
# succeed, and all that they wrote is there.
set -u
source tests/cli/testing.sh || exit 1
eve=$PWD/$1
cd "$(mktemp -d "${TEST_TMPDIR:-/tmp}/eve-concurrent-XXXXXX")" || exit 1

writers=40
# One domain that is there before, and one that the first of them makes.
"$eve" put old.eve numbers 0 first || fail "put"
for domain in old new; do
  pids=()
  for ((n = 1; n <= writers; ++n)); do
    "$eve" put $domain.eve numbers "$n" "value $n" 2>stderr.$n &
    pids+=($!)
  done
  for ((n = 1; n <= writers; ++n)); do
    wait "${pids[n - 1]}" ||
      fail "put $n of $writers into $domain.eve: code $?: $(<stderr.$n)"
  done
  for ((n = 1; n <= writers; ++n)); do
    found=$("$eve" get $domain.eve numbers "$n")
    [[ $found == "value $n" ]] || fail "$domain.eve: $n is '$found'"
  done
  runs 0 "$eve" check $domain.eve
done
[[ $("$eve" count old.eve numbers) == $((writers + 1)) &&
  $("$eve" count new.eve numbers) == "$writers" ]] || fail "count"

[[ $failures == 0 ]] || { echo "$failures failures" >&2; exit 1; }
