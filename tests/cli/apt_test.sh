#!/usr/bin/env bash
# Records that nobody made up: what apt knows of its packages, name -> stanza,
# loaded into a domain and into LMDB, and dumped from both.
set -u -o pipefail
source tests/cli/testing.sh || exit 1
eve=$PWD/$1
enter_memory apt

# Pairs of lines: -T of both tools undoes the escapes.
apt-cache dumpavail 2>stderr | LC_ALL=C awk 'BEGIN { RS = ""; FS = "\n" }
  /^Package: / {
    key = substr($1, 10)
    gsub(/\\/, "\\5c")
    gsub(/\n/, "\\0a")
    print key
    print
  }' >pairs
if [[ $(wc -l <pairs) -lt 2000 ]]; then
  echo "SKIPPED: this machine has no apt lists (apt-get update gets them)" >&2
  exit 0
fi
records=$(($(wc -l <pairs) / 2))
packages=$(awk 'NR % 2' pairs | LC_ALL=C sort -u | wc -l)
echo "$records stanzas of $packages packages, $(stat -c %s pairs) bytes"

"$eve" load -T apt.eve packages -f pairs >out || fail "load"
[[ $(<out) == "apt.eve: $records records in 1 collection"* ]] ||
  fail "load says: $(<out)"
[[ $("$eve" count apt.eve packages) == "$packages" ]] || fail "count"
"$eve" check apt.eve >out || fail "check: $(<out)"
{
  printf 'VERSION=3\nformat=print\nmapsize=4294967296\nHEADER=END\n'
  sed 's/^/ /' pairs
  echo DATA=END
} >lmdb.txt
mkdir lmdb copy
mdb_load -f lmdb.txt lmdb || fail "mdb_load"
"$eve" dump -q apt.eve packages --unnamed >eve.out || fail "dump"
mdb_dump lmdb >lmdb.out || fail "mdb_dump"
records_of() { sed '1,/^HEADER=END$/d' "$1"; }
cmp <(records_of eve.out) <(records_of lmdb.out) || fail "the dumps differ"
[[ $(grep -c '^ ' eve.out) == $((2 * packages)) ]] || fail "records in the dump"
# And over: each reads what the other has written.
mdb_load -f eve.out copy 2>stderr || fail "eve dump | mdb_load: $(<stderr)"
cmp <(mdb_dump copy | records_of -) <(records_of lmdb.out) || fail "into LMDB"
"$eve" load -q copy.eve -f lmdb.out || fail "mdb_dump | eve load"
cmp <("$eve" dump -q copy.eve | records_of -) <(records_of eve.out) ||
  fail "into Eve"
# One of them, by hand.
name=$(sed -n 1001p pairs)
[[ $("$eve" get apt.eve packages "$name") == *"Package: $name"$'\n'* ]] ||
  fail "get $name"

[[ $failures == 0 ]] || { echo "$failures failures" >&2; exit 1; }
