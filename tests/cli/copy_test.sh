#!/usr/bin/env bash
# What eve copy writes, prints and leaves.
set -u
source tests/cli/testing.sh || exit 1
eve=$PWD/$1
sparse=$PWD/$2
interrupted=$PWD/$3
holder=$PWD/$4
cd "$(mktemp -d "${TEST_TMPDIR:-/tmp}/eve-copy-XXXXXX")" || exit 1
content() { "$eve" scan "$1" sparse | cksum; }
# Nothing but what the test made itself.
only() {
  local found
  found=$(ls | grep -vxE 'out|stderr|whole.eve|whole.eve-lock' | paste -sd ' ')
  [[ $found == "$*" ]] || fail "left: $found, not: $*"
}

# It creates nothing of nothing, and looks at its words first.
runs 4 "$eve" copy no.eve to.eve
only
runs 2 "$eve" copy
runs 2 "$eve" copy no.eve
runs 2 "$eve" copy a b c
for option in --progress=now --nonsense; do
  runs 2 "$eve" copy $option no.eve to.eve
done
runs 4 "$eve" copy --compact no.eve -
runs 2 "$eve" copy --json no.eve -

"$sparse" whole.eve || fail "sparse_domain"
wanted=$(content whole.eve)
version=$("$eve" stat --json whole.eve | sed 's/.*"version":\([0-9]*\).*/\1/')

# Without a terminal one line, and the same content.
runs 0 "$eve" copy whole.eve to.eve
[[ $(<out) == "to.eve: version $version, "*' MB in a file of '*' MB, verified ('*' s)' ]] ||
  fail "copy prints: $(<out)"
[[ ! -s stderr ]] || fail "copy on stderr: $(<stderr)"
only to.eve
[[ $(content to.eve) == "$wanted" ]] || fail "another content"
runs 0 "$eve" check to.eve
# It is there now, and stays.
before=$(cksum <to.eve)
runs 4 "$eve" copy whole.eve to.eve
grep -q 'to.eve: exists; .*--force' stderr || fail "no word: $(<stderr)"
[[ $(cksum <to.eve) == "$before" ]] || fail "it was replaced"
runs 0 "$eve" copy --force --quiet whole.eve to.eve
[[ ! -s out && ! -s stderr ]] || fail "--quiet: $(cat out stderr)"
runs 4 "$eve" copy --force whole.eve whole.eve
grep -q 'is the domain itself' stderr || fail "onto itself: $(<stderr)"
rm to.eve

# Packed: much smaller.
runs 0 "$eve" copy --compact --json --progress=always whole.eve to.eve
[[ $(<out) == '{"schema":1,"path":"whole.eve","copy":"to.eve","version":'* ]] ||
  fail "JSON: $(<out)"
[[ $(number version) == "$version" ]] || fail "version: $(<out)"
[[ $(number file_bytes) == $(stat -c %s to.eve) ]] || fail "size: $(<out)"
(($(number file_bytes) * 3 < $(stat -c %s whole.eve))) || fail "not packed"
(($(number elapsed_ns) > 0)) || fail "no time: $(<out)"
[[ $(<stderr) == *$'\r'*' %'* ]] || fail "progress: $(<stderr)"
[[ $(content to.eve) == "$wanted" ]] || fail "another content, packed"
runs 0 "$eve" check to.eve
rm to.eve

# To a pipe. The word about it goes to stderr.
runs 0 bash -c '"$0" copy whole.eve - | cat >to.eve; exit ${PIPESTATUS[0]}' "$eve"
grep -q "^whole.eve: version $version, .* verified" stderr ||
  fail "no word about the stream: $(<stderr)"
[[ $(content to.eve) == "$wanted" ]] || fail "another content, through a pipe"
runs 0 "$eve" check to.eve
rm to.eve
# Packed, by way of a file in TMPDIR that has no name.
mkdir scratch
runs 0 bash -c 'TMPDIR=scratch "$0" copy --compact whole.eve - | cat >to.eve
  exit ${PIPESTATUS[0]}' "$eve"
grep -q "^whole.eve: version $version, .* verified" stderr ||
  fail "no word about the packed stream: $(<stderr)"
[[ $(content to.eve) == "$wanted" ]] || fail "another content, packed, by a pipe"
(($(stat -c %s to.eve) * 3 < $(stat -c %s whole.eve))) || fail "it is not packed"
runs 0 "$eve" check to.eve
# What was cut off does not open.
truncate -s -1 to.eve
runs 3 "$eve" check to.eve
rm -f to.eve to.eve-lock
rmdir scratch || fail "left in TMPDIR: $(ls scratch)"
TMPDIR=scratch runs 4 "$eve" copy --compact whole.eve -
grep -q 'scratch' stderr || fail "no TMPDIR: $(<stderr)"
[[ ! -s out ]] || fail "a stream without TMPDIR"
# Nobody reads on.
for how in --quiet --compact; do
  "$eve" copy -q $how whole.eve - 2>stderr | head -c 100000 >out
  [[ ! -s stderr ]] || fail "a closed pipe, $how: $(<stderr)"
done

# Somebody has the destination open.
"$eve" put -q to.eve fruit apple red
mkfifo input output
"$holder" to.eve <input >output &
exec 3>input 4<output
read -r _ <&4 || fail "the holder of the pin ended"
runs 4 "$eve" copy --force whole.eve to.eve
grep -q 'somebody has it open' stderr || fail "open elsewhere: $(<stderr)"
# And the source.
runs 0 "$eve" copy to.eve beside.eve
runs 0 "$eve" get beside.eve fruit apple
exec 3>&- 4<&-
wait $! || fail "the holder of the pin"
rm to.eve* beside.eve* input output

# A signal that is there from the start: no copy, nothing left.
for signal in 2 15; do
  for how in --quiet --compact; do
    runs $((128 + signal)) "$interrupted" $signal "$eve" copy $how whole.eve to.eve
    grep -q 'stopped; there is no copy' stderr || fail "no word: $(<stderr)"
    only
    runs $((128 + signal)) "$interrupted" $signal "$eve" copy $how whole.eve -
    grep -q 'stopped; there is no copy' stderr || fail "no word: $(<stderr)"
    only
  done
done

# Damage is said, and nothing is left: neither plain nor packed.
# Of every value a part; not of what is shorter.
part=$(printf 'v%.0s' {1..64})
LC_ALL=C sed "s/$part/${part//v/w}/g" <whole.eve >bad.eve
cmp -s whole.eve bad.eve && fail "no damage was done"
for how in --quiet --compact; do
  runs 3 "$eve" copy $how bad.eve to.eve
  only bad.eve
done
runs 3 "$eve" copy bad.eve -
runs 3 "$eve" copy --compact bad.eve -
[[ ! -s out ]] || fail "a packed stream of what is damaged"
rm bad.eve

# A full disk: nothing is left of it, and it says so.
runs 4 bash -c 'ulimit -f 3000; trap "" XFSZ; "$0" copy whole.eve to.eve' "$eve"
grep -q 'ulimit' stderr || fail "a full disk: $(<stderr)"
only

[[ $failures == 0 ]] || { echo "$failures failures" >&2; exit 1; }
