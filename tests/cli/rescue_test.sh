#!/usr/bin/env bash
# What eve dump --rescue saves of a damaged file, and what it says.
set -u
source tests/cli/testing.sh || exit 1
eve=$PWD/$1
kinds=$PWD/$2
holder=$PWD/$3
cd "$(mktemp -d "${TEST_TMPDIR:-/tmp}/eve-rescue-XXXXXX")" || exit 1
# The records of a dump, in no order.
content() { grep '^ ' "$1" | paste - - | sort; }

# A domain of all kinds and types: what is whole is dumped as ever.
"$kinds" make kinds.eve || fail "kinds_domain"
runs 0 "$eve" dump --rescue kinds.eve -o rescued.txt
grep -q '0 blocks lost' stderr || fail "a whole domain: $(<stderr)"
runs 0 "$eve" dump kinds.eve -o dumped.txt
[[ $(content rescued.txt) == "$(content dumped.txt)" ]] || fail "another dump"
runs 0 "$eve" load -q loaded.eve -f rescued.txt
"$kinds" check loaded.eve || fail "what was rescued and loaded"
runs 0 "$eve" dump --rescue --format=jsonl kinds.eve
grep -q '^{"schema":1,"collection":' out || fail "JSON: $(head -c 300 out)"
runs 0 "$eve" dump -q --rescue kinds.eve -o rescued.txt
[[ ! -s stderr ]] || fail "--quiet: $(<stderr)"
for option in -l --unnamed; do
  runs 2 "$eve" dump --rescue $option kinds.eve
done

# What is no domain, and what is not there.
printf 'nothing' >none.eve
runs 3 "$eve" dump --rescue none.eve
runs 4 "$eve" dump --rescue no.eve
[[ ! -e no.eve && ! -e no.eve-lock ]] || fail "it created something"

for ((i = 0; i < 4000; ++i)); do printf 'key%d\nvalue %d of many\n' $i $i; done >in.txt
runs 0 "$eve" load -q -T shop.eve o --kind=ordered -f in.txt
runs 0 "$eve" load -q -T shop.eve h --kind=hash -f in.txt
runs 0 "$eve" dump shop.eve -o whole.txt
wanted=$(content whole.txt)
# One byte of one value: its leaf is lost, the rest is not.
cp shop.eve bad.eve
for value in 'value 77 of many' 'value 2001 of many'; do
  for at in $(LC_ALL=C grep -obUaF "$value" bad.eve | cut -d: -f1); do
    printf X | dd of=bad.eve bs=1 seek=$at conv=notrunc status=none
  done
done
runs 3 "$eve" dump --rescue bad.eve -o saved.txt
[[ $(grep -c '^eve: offset [0-9]*: t.* leaf of collection [12]: checksum failed' stderr) -ge 2 ]] ||
  fail "no losses: $(<stderr)"
grep -q '^eve: [0-9]* records of it; [1-9][0-9]* blocks lost;' stderr ||
  fail "no summary: $(<stderr)"
runs 0 "$eve" load -q new.eve -f saved.txt
for name in o h; do
  count=$("$eve" count new.eve $name)
  ((count < 4000 && count > 3800)) || fail "$count records of $name"
done
# Nothing is there that was not.
[[ -z $(comm -13 <(echo "$wanted") <(content saved.txt)) ]] || fail "wrong records"
# One collection of two.
runs 3 "$eve" dump --rescue bad.eve h -o one.txt
[[ $(grep -c '^database=h' one.txt) -ge 1 && $(grep -c '^database=o' one.txt) == 0 ]] ||
  fail "one of two: $(grep database one.txt)"

# The first page and all slots are gone, and the lock file says what it was.
cp shop.eve head.eve
cp shop.eve-lock head.eve-lock
dd if=/dev/zero of=head.eve bs=4096 count=32 conv=notrunc status=none
runs 3 "$eve" dump --rescue head.eve -o saved.txt
grep -q 'by the lock file' stderr || fail "the lock file: $(<stderr)"
[[ $(content saved.txt) == "$wanted" ]] || fail "without its head"
# That is gone as well: the blocks themselves say which checksums are right. One
# of them is not what it was.
# Another domain's lock file, over which it was put, says nothing of it.
runs 0 "$eve" put other.eve m k v
cp other.eve-lock head.eve-lock
runs 3 "$eve" dump --rescue head.eve -o saved.txt
grep -q 'the lock file is of another domain' stderr || fail "another lock file: $(<stderr)"
[[ -n $(content saved.txt) ]] || fail "nothing saved beside another lock file"
rm head.eve-lock
cp head.eve bad.eve
at=$(LC_ALL=C grep -obUaF 'value 77 of many' bad.eve | tail -n 1 | cut -d: -f1)
printf X | dd of=bad.eve bs=1 seek=$at conv=notrunc status=none
runs 3 "$eve" dump --rescue bad.eve -o saved.txt
grep -q 'blocks are asked which checksums they agree on' stderr ||
  fail "no word about the search: $(<stderr)"
grep -q 'right from wrong by checksums on which [0-9]* of [0-9]* blocks agree' stderr ||
  fail "without its lock file: $(<stderr)"
grep -q '^eve: offset [0-9]*: t.* leaf of collection [12]: checksum failed' stderr ||
  fail "no loss without its head: $(<stderr)"
count=$(comm -12 <(echo "$wanted") <(content saved.txt) | wc -l)
((count < 8000 && count > 7800)) || fail "$count records without head and lock file"
[[ -z $(comm -13 <(echo "$wanted") <(content saved.txt)) ]] || fail "wrong records"
# Nothing is left that could agree.
dd if=/dev/zero of=head.eve bs=1M count=$((($(stat -c %s head.eve) >> 20) + 1)) status=none
runs 3 "$eve" dump --rescue head.eve
grep -q 'so nothing says which are right' stderr || fail "$(<stderr)"

# Beside a process that has it open.
mkfifo input output
"$holder" shop.eve <input >output &
exec 3>input 4<output
read -r _ <&4 || fail "the holder of the pin ended"
runs 0 "$eve" dump --rescue shop.eve o -o saved.txt
[[ $(content saved.txt | wc -l) == 4000 ]] || fail "beside a process"
exec 3>&- 4<&-
wait $! || fail "the holder of the pin"

[[ $failures == 0 ]] || { echo "$failures failures" >&2; exit 1; }
