#!/usr/bin/env bash
# What `eve recover --dry-run` says is what an opener then does.
set -u
source tests/cli/testing.sh || exit 1
eve=$PWD/$1
holder=$PWD/$2
cd "$(mktemp -d "${TEST_TMPDIR:-/tmp}/eve-recover-XXXXXX")" || exit 1

# dry FILE CODE: writes nothing. The answer is in out, as JSON.
dry() {
  local before
  before=$(sha256sum "$1"*)
  runs "$2" "$eve" recover --dry-run --json "$1"
  [[ $(sha256sum "$1"*) == "$before" ]] || fail "a dry run has written"
}
says() { grep -q -e "$1" out || fail "$2: $(<out)"; }

runs 4 "$eve" recover --dry-run no.eve
runs 4 "$eve" recover no.eve
[[ ! -e no.eve && ! -e no.eve-lock ]] || fail "recovering created something"
runs 2 "$eve" recover

# Closed in order.
runs 0 "$eve" put shop.eve fruit apple red
dry shop.eve 0
says '"attached":false,"region":"intact","opens":true' "after a close"
closed=$(number version)

# Somebody is there, then is killed: what it committed lives in memory only.
coproc "$holder" shop.eve
pid=$COPROC_PID
read -r -u "${COPROC[0]}" held
runs 0 "$eve" recover --dry-run shop.eve
says 'an opener joins them' "beside a process"
runs 0 "$eve" recover shop.eve
says 'nothing to recover' "beside a process"
kill -9 "$pid"
wait "$pid" 2>/dev/null
# That one was made durable by its neighbour's close; the next is not.
coproc "$holder" shop.eve
pid=$COPROC_PID
read -r -u "${COPROC[0]}" held
kill -9 "$pid"
wait "$pid" 2>/dev/null
cp shop.eve copy.eve
dry shop.eve 0
says '"region":"intact"' "after a kill"
says '"slots":.*"version":[0-9]*}$' "after a kill, not a slot's root"
live=$(sed 's/.*"slots":\[.*\],"version":\([0-9]*\).*/\1/' out)
((live > held)) || fail "version $live is not above $held"
# A copy has slots only.
dry copy.eve 0
says '"region":"none"' "of a copy"
says '"whole_check":true,"whole_check_reason":"there is no lock file,' "of a copy"
runs 0 "$eve" recover --dry-run copy.eve
says 'after a check of all that it reaches: there is no lock file, so it may be a copy' \
  "of a copy, in words"
# The lock file of another file, and of another opening of this one.
cp shop.eve-lock copy.eve-lock
dry copy.eve 0
says '"whole_check_reason":"its lock file is of another file (inode ' "another's lock file"
rm copy.eve-lock
cp copy.eve turned.eve
cp copy.eve older.eve
for ((i = 0; i < 3; ++i)); do runs 0 "$eve" put turned.eve fruit pear "$i"; done
cat older.eve >turned.eve
dry turned.eve 0
says '"whole_check_reason":"its lock file is of another opening (incarnation ' "put back"
durable=$(sed 's/.*"slots":\[.*\],"version":\([0-9]*\).*/\1/' out)
((durable >= closed && durable < live)) || fail "version $durable of the copy"
runs 0 "$eve" recover copy.eve
says "durable version $durable; all that it reaches was read: there is no lock file" "recovering the copy"
runs 0 "$eve" recover shop.eve
says "live version $live on durable version $durable" "recovering"
runs 0 "$eve" get shop.eve held k
[[ $(<out) == v ]] || fail "the newest commit is gone"

# A slot that was never used is damaged: nobody can tell, and one is no reason.
printf 'XXXXXXXX' | dd of=copy.eve bs=4096 seek=31 conv=notrunc status=none
dry copy.eve 0
says '"whole_check":false,"whole_check_reason":"","damaged_slots":[[]15]' "a damaged slot"
runs 0 "$eve" recover --dry-run copy.eve
says 'slot 15: fails its checksum' "a damaged slot"
# It is a warning, and who opened the domain in spite of it is told.
runs 0 "$eve" check copy.eve
says '^warning: offset .*slot' "a damaged slot"
cp copy.eve told.eve
runs 0 "$eve" stat told.eve
says '^opened .*version [0-9]*; slot 15: fails its checksum' "a damaged slot"
dd if=/dev/zero of=copy.eve bs=4096 seek=31 count=1 conv=notrunc status=none

# The newest slot's record is damaged: the one before, after a whole check.
offset=$("$eve" check -v copy.eve | sed -n 's/^slot.*incarnation \([0-9]*\), version \([0-9]*\), record at \([0-9]*\)/\1 \2 \3/p' |
  sort -n -k1,1 -k2,2 | tail -n 1 | cut -d' ' -f3)
rm copy.eve-lock
printf 'XXXXXXXX' | dd of=copy.eve bs=1 seek=$((offset + 16)) conv=notrunc \
  status=none
dry copy.eve 0
says '"whole_check":true,"whole_check_reason":"a slot whose root ' "a damaged record"
says '"intact":false' "a damaged record"
chosen=$(sed 's/.*"slots":\[.*\],"version":\([0-9]*\).*/\1/' out)
runs 0 "$eve" recover copy.eve
says "durable version $chosen;" "recovering from a damaged record"

# No slot at all.
dd if=/dev/zero of=copy.eve bs=4096 seek=16 count=16 conv=notrunc status=none
dry copy.eve 3
says '"opens":false' "without slots"
runs 3 "$eve" recover copy.eve

[[ $failures == 0 ]] || { echo "$failures failures" >&2; exit 1; }
