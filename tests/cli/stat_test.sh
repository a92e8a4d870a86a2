#!/usr/bin/env bash
# What stat says of writers that race: a process that has made each kind of loss
# happen holds the domain open.
set -u
source tests/cli/testing.sh || exit 1
eve=$PWD/$1
writer=$PWD/$2
cd "$(mktemp -d "${TEST_TMPDIR:-/tmp}/eve-stat-XXXXXX")" || exit 1

mkfifo input output
"$writer" race.eve <input >output &
pid=$!
exec 3>input 4<output
read -r commits lost_runs <&4 || fail "the writer does not come up"
[[ $lost_runs -ge 2 ]] || fail "$lost_runs runs were lost"
json=$("$eve" stat --json race.eve) || fail "stat --json"
text=$("$eve" stat race.eve) || fail "stat"
# is NAME VALUE: in both.
is() {
  [[ $json == *"\"$1\":$2,"* ]] || fail "$1 is not $2 in $json"
  grep -Eq "^$1 +$2\$" <<<"$text" || fail "$1 is not $2 in $text"
}
is commits "$commits"
is attempts $((commits + lost_runs))
is conflicts "$lost_runs"
is restamps 2
is replays 1
is turns 1
is waits 1
exec 3>&-
wait $pid || fail "the writer: code $?"

# They are of those that have it open; the next first opener begins anew.
json=$("$eve" stat --json race.eve) || fail "stat --json"
[[ $json == *'"conflicts":0,'* ]] || fail "conflicts of the past: $json"

[[ $failures == 0 ]] || { echo "$failures failures" >&2; exit 1; }
