#!/usr/bin/env bash
# eve watch prints what others commit, and ends as it says.
set -u
source tests/cli/testing.sh || exit 1
eve=$PWD/$1
dropper=$PWD/$2
enter_memory watch
mkfifo notes
# watch ARGUMENT...: in the background, with its stdout in `changes`; returns
# when it watches.
watch() {
  "$eve" watch "$@" >changes 2>notes &
  pid=$!
  exec 3<notes
  read -r note <&3 || fail "watch $*: no note"
  [[ $note == 'eve: watching from version '* ]] || fail "watch $*: $note"
}
# shown N: returns when it has printed so many lines. What is committed before it
# has looked would be one change.
shown() {
  while [[ $(wc -l <changes) -lt $1 ]]; do kill -0 $pid || return; done
}
# ended CODE: the watch has ended so.
ended() {
  local code
  wait $pid
  code=$?
  exec 3<&-
  [[ $code == "$1" ]] || fail "watch ended with $code, not $1"
}

# It creates nothing, and looks at its options first.
runs 4 "$eve" watch no.eve fruit
[[ ! -e no.eve && ! -e no.eve-lock ]] || fail "watch created something"
runs 2 "$eve" watch no.eve
runs 2 "$eve" watch --timeout=soon no.eve fruit
runs 2 "$eve" watch --timeout=-1s no.eve fruit
runs 2 "$eve" watch --limit=few no.eve fruit
runs 2 "$eve" watch --prefix=a --from=b no.eve fruit
"$eve" load -q shop.eve fruit <<'JSON'
{"key":"apple","value":"red"}
{"key":"pear","value":"green"}
JSON
runs 1 "$eve" watch shop.eve absent

# Nothing of what is there; then what each process commits, in its turn.
watch shop.eve fruit --limit 3
"$eve" put shop.eve fruit apple yellow || fail put
shown 1
"$eve" del shop.eve fruit pear || fail del
shown 2
"$eve" put shop.eve fruit $'a\tb' $'\x01' || fail put
ended 0
[[ $(<changes) == $'+\tapple\tyellow\n-\tpear\n+\ta\\x09b\t\\x01' ||
  $(<changes) == $'+\tapple\tyellow\n-\tpear\n+\ta\\tb\t\\x01' ]] ||
  fail "changes: $(<changes)"

# Only some keys; in JSON, with what was there before.
watch shop.eve fruit --json --prefix b --limit 2
"$eve" put shop.eve fruit apple brown || fail put
"$eve" put shop.eve fruit banana long || fail put
shown 1
"$eve" put shop.eve fruit banana short || fail put
ended 0
[[ $(sed 's/"version":[0-9]*/"version":N/' changes) == \
'{"schema":1,"version":N,"key":"banana","value":"long"}
{"schema":1,"version":N,"key":"banana","before":"long","value":"short"}' ]] ||
  fail "JSON: $(<changes)"

# Every kind of collection.
for kind in hash set multi; do
  y=value
  [[ $kind != set ]] || y=
  printf "x\n$y\n" | "$eve" load -q -T --kind=$kind shop.eve $kind || fail load
  watch shop.eve $kind --hex --limit 1
  printf "z\n$y\n" | "$eve" load -q -T --kind=$kind shop.eve $kind || fail load
  ended 0
  [[ $(<changes) == $'+\t7a'* ]] || fail "$kind: $(<changes)"
done

# A dropped collection. What was seen of it is printed; the drop is not one
# record after another that was erased, nor are those of one that has its name
# and kind new. It is stopped meanwhile, so that it sees the drop and what came
# before at once; and it may see each by itself.
for anew in '' anew; do
  for is_stopped in 1 ''; do
    printf 'x\n1\ny\n2\n' | "$eve" load -q -T shop.eve doomed || fail load
    watch shop.eve doomed
    "$eve" put shop.eve doomed x new || fail put
    shown 1
    if [[ $is_stopped ]]; then
      kill -s STOP $pid
      until [[ $(ps -o state= -p $pid) == T* ]]; do :; done
    fi
    "$dropper" shop.eve doomed $anew || fail "drop $anew"
    kill -s CONT $pid
    read -r note <&3
    [[ $note == 'eve: the collection was dropped' ]] || fail "note: $note"
    ended 1
    found=$(<changes)
    [[ $is_stopped ]] || found=$(grep -v $'^+\tlast\t' changes)
    [[ $found == $'+\tx\tnew' ]] || fail "dropped $anew: $found"
  done
done

# A timeout, a signal, a reader that goes.
runs 5 "$eve" watch -q --timeout=1ms shop.eve fruit
[[ ! -s out && ! -s stderr ]] || fail "timeout: $(cat out stderr)"
for signal in 2 15; do
  watch shop.eve fruit
  kill -s $signal $pid
  [[ $signal == 15 ]] || kill -s TERM $pid # 2 is ignored in the background
  ended 143
done
# While somebody has the domain open: how it was written last.
watch shop.eve fruit --limit 2
"$eve" put --durability=checkpoint shop.eve fruit fig green || fail put
found=$("$eve" stat --json shop.eve)
[[ $found =~ '"io_engine":"'(io_uring|plain)'"' ]] || fail "stat: $found"
engine=${BASH_REMATCH[1]}
[[ $("$eve" stat shop.eve) =~ io_engine\ +$engine ]] || fail "stat"
# A ring is of checkpoints only.
[[ $engine == plain ]] ||
  "$eve" stat shop.eve | grep -q '^io_engine .*io_uring (checkpoints; .* plain calls)$' ||
  fail "what makes plain calls: $("$eve" stat shop.eve | grep io_engine)"
shown 1
"$eve" put shop.eve fruit fig black || fail put
ended 0
mkfifo pipe
"$eve" watch shop.eve fruit >pipe 2>notes &
pid=$!
exec 4<pipe 3<notes
read -r note <&3 || fail "no note"
exec 4<&-
ended 0
runs 0 "$eve" check shop.eve

# What keeps it from looking. The root word is the first of the region, behind a
# page of the lock file (docs/format.md).
# root ESCAPES: its eight bytes, with those of a domain that others have open.
root() {
  printf "$1" | dd of=bad.eve-lock bs=1 seek=4096 conv=notrunc status=none
}
"$eve" load -q bad.eve fruit <<<'{"key":"apple","value":"red"}'
# Beyond all addresses: that may pass, but it is not true that nothing changed.
# Where it is told too late that is so, and it is told again.
for timeout in 300ms 3s 30s; do
  watch bad.eve fruit --timeout=$timeout
  root '\0\0\0\0\0\0\1\0'
  wait $pid
  code=$?
  exec 3<&-
  [[ $code != 5 ]] && break
done
[[ $code == 4 ]] || fail "watch that cannot look ended with $code"
# No commit record: that does not pass, and nobody has to wait for a timeout.
rm bad.eve*
"$eve" load -q bad.eve fruit <<<'{"key":"apple","value":"red"}'
watch bad.eve fruit
root '\200\377\1\0\0\0\0\0'
ended 3

[[ $failures == 0 ]] || { echo "$failures failures" >&2; exit 1; }
