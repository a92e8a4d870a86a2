#!/usr/bin/env bash
# What eve compact prints, what it leaves, and how it is stopped.
set -u
source tests/cli/testing.sh || exit 1
eve=$PWD/$1
sparse=$PWD/$2
interrupted=$PWD/$3
holder=$PWD/$4
cd "$(mktemp -d "${TEST_TMPDIR:-/tmp}/eve-compact-XXXXXX")" || exit 1
content() { "$eve" scan "$1" sparse | cksum; }
# used FILE: bytes written in segments that hold anything live.
used() {
  "$eve" stat --json "$1" >out
  number fill_bytes
}
# What its own writers had open.
slack=$((4 << 20))

# It creates nothing, and looks at its options first.
runs 4 "$eve" compact no.eve
[[ ! -e no.eve && ! -e no.eve-lock ]] || fail "compact created something"
runs 2 "$eve" compact
for option in --share=0 --share=1.5 --share=nan --share=much --share= \
  --progress=now --nonsense; do
  runs 2 "$eve" compact "$option" no.eve
  [[ ! -s out && -s stderr ]] || fail "$option: no usage error"
done

"$sparse" whole.eve || fail "sparse_domain"
wanted=$(content whole.eve)
[[ $("$eve" count whole.eve sparse) == 2000 ]] || fail "count"
before=$(used whole.eve)

# Without a terminal only the sizes, and much less in use than before.
cp whole.eve a.eve
runs 0 "$eve" compact a.eve
[[ $(<out) == 'a.eve: file '*' MB -> '*' MB, on disk '*' MB -> '*' MB ('*' s)' ]] ||
  fail "compact prints: $(<out)"
[[ ! -s stderr ]] || fail "compact on stderr: $(<stderr)"
[[ $(content a.eve) == "$wanted" ]] || fail "another content"
after=$(used a.eve)
((after * 3 < before)) || fail "$before bytes in use, $after after compact"
runs 0 "$eve" check a.eve
# Again: nothing is left to do.
runs 0 "$eve" compact a.eve
(($(used a.eve) < after + slack)) || fail "compact again: $(used a.eve)"

# Progress when it is asked for, on stderr; JSON on stdout.
cp whole.eve b.eve
runs 0 "$eve" compact --json --progress=always b.eve
[[ $(<stderr) == *$'\r'*' %  '*' MB/s freed, file '*' MB'* ]] ||
  fail "progress: $(<stderr)"
[[ $(<out) == '{"schema":1,"path":"b.eve","complete":true,'* ]] ||
  fail "JSON: $(<out)"
for name in file_bytes_before file_bytes disk_bytes_before disk_bytes \
  live_bytes pinned_bytes elapsed_ns; do
  [[ -n $(number $name) ]] || fail "JSON lacks $name"
done
[[ $(number file_bytes_before) == $(stat -c %s whole.eve) ]] ||
  fail "file_bytes_before"
[[ $(number file_bytes) == $(stat -c %s b.eve) ]] || fail "file_bytes"
(($(number live_bytes) > 1200000)) || fail "live_bytes: $(<out)"

cp whole.eve c.eve
runs 0 "$eve" compact --quiet --progress=never c.eve
[[ ! -s out && ! -s stderr ]] || fail "--quiet: $(cat out stderr)"

# A reader in another process keeps what it sees, and is told of.
cp whole.eve e.eve
mkfifo input output
"$holder" e.eve <input >output &
exec 3>input 4<output
read -r _ <&4 || fail "the holder of the pin ended"
runs 0 "$eve" compact e.eve
grep -q '^readers keep [1-9].* MB of it' out || fail "no reader: $(<out)"
[[ $(content e.eve) == "$wanted" ]] || fail "another content beside a reader"
exec 3>&- 4<&-
wait $! || fail "the holder of the pin"
runs 0 "$eve" compact --json e.eve
[[ $(number pinned_bytes) == 0 ]] || fail "pinned by nobody: $(<out)"

# A signal that is there from the start ends it before it is done; nothing is
# lost, and it can go on later. 2: SIGINT, 15: SIGTERM.
for signal in 2 15; do
  cp whole.eve d.eve
  runs $((128 + signal)) "$interrupted" $signal "$eve" compact --json d.eve
  [[ $(<out) == *'"complete":false'* ]] || fail "signal $signal: $(<out)"
  grep -q 'stopped; what was done stays done' stderr || fail "signal: no word"
  (($(used d.eve) > after + slack)) || fail "signal $signal: it was not stopped"
  runs 0 "$eve" check d.eve
  [[ $(content d.eve) == "$wanted" ]] || fail "signal: another content"
  runs 0 "$eve" compact d.eve
  (($(used d.eve) < after + slack)) || fail "compact after a signal"
  [[ $(content d.eve) == "$wanted" ]] || fail "another content at the end"
done

[[ $failures == 0 ]] || { echo "$failures failures" >&2; exit 1; }
