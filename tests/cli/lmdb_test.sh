#!/usr/bin/env bash
# mdb_dump | eve load and eve dump | mdb_load are identities, with LMDB's own
# tools on the other side.
set -u -o pipefail
source tests/cli/testing.sh || exit 1
eve=$PWD/$1
maker=$PWD/$2
# mdb_load flushes after every 100 records; in memory that takes no time.
enter_memory lmdb
# A dump without what only one of the two sides says, or says of sizes.
plain() {
  LC_ALL=C grep -av \
    '^\(mapsize\|maxreaders\|db_pagesize\|duplicates\|eve_[a-z_]*\)=' "$1"
}
# same WHAT A B: two dumps hold the same databases, records and order.
same() {
  cmp <(plain "$2") <(plain "$3") >&2 || fail "$1: $2 and $3 differ"
}
# into_lmdb DUMP FOLDER: mdb_load may complain only of keywords.
into_lmdb() {
  mkdir "$2"
  mdb_load -f "$1" "$2" 2>stderr || fail "mdb_load of $1: $(cat stderr)"
  grep -v 'unrecognized keyword ignored' stderr >&2 &&
    fail "mdb_load of $1 complains"
}

# Several databases of all shapes, in each text form that mdb_dump has.
mkdir many
"$maker" many many || exit 1
mdb_dump -a many >many.txt || fail "mdb_dump"
mdb_dump -a many | "$eve" load many.eve >out || fail "load"
[[ $(<out) == "many.eve: "*" records in 9 collections ("*" s)" ]] ||
  fail "load says: $(<out)"
"$eve" dump -q many.eve >many.out || fail "dump"
same 'mdb_dump | eve load' many.txt many.out
"$eve" check many.eve >out || fail "check: $(<out)"
into_lmdb many.out many.copy
mdb_dump -a many.copy >many.copy.txt || fail "mdb_dump of the copy"
cmp <(plain many.txt) <(plain many.copy.txt) || fail "eve dump | mdb_load"
grep -a '^dupsort=\|^dupfixed=' many.txt | sort | uniq -c >shapes
[[ $(<shapes) == *'1 dupfixed=1'*'2 dupsort=1'* ]] || fail "shapes: $(<shapes)"
"$eve" dump -p -q many.eve >many.print || fail "dump -p"
into_lmdb many.print many.printed
mdb_dump -a many.printed >many.printed.txt || fail "mdb_dump of the print"
cmp <(plain many.txt) <(plain many.printed.txt) || fail "eve dump -p | mdb_load"
"$eve" load print.eve -f many.print >out || fail "load of the print"
"$eve" dump -q print.eve >print.out || fail "dump of the print"
same 'eve dump -p | eve load' many.txt print.out
# mdb_dump -p, of a database without backslashes, which it does not escape; where
# there is one it is noticed, if it can be.
mdb_dump -p -s 'each byte' many | "$eve" load p.eve >out 2>stderr
[[ $? == 4 ]] || fail "mdb_dump -p with a backslash"
grep -q '^eve: stdin:[0-9]*: the backslash in column 1 .* dump without -p$' \
  stderr || fail "mdb_dump -p with a backslash: $(cat stderr)"
mdb_dump -p -s 'empty values' many | "$eve" load p.eve >out ||
  fail "load of mdb_dump -p"
mdb_dump -s 'empty values' many >p.txt
"$eve" dump p.eve >p.out
same 'mdb_dump -p | eve load' p.txt p.out
# The binary file itself.
"$eve" load binary.eve -f many/data.mdb 2>stderr
[[ $? == 4 ]] || fail "load of data.mdb"
grep -q 'many/data.mdb:1: a zero byte .* load what mdb_dump makes of it' stderr ||
  fail "load of data.mdb: $(cat stderr)"
[[ ! -e binary.eve ]] || fail "load of data.mdb leaves a domain"
# JSON lines, and one database without its name.
"$eve" dump --format=jsonl many.eve | "$eve" load json.eve >out ||
  fail "load of JSON lines"
"$eve" dump -q json.eve >json.out || fail "dump of JSON lines"
cmp many.out <(sed "s/^mapsize=.*/$(grep -a -m1 mapsize many.out)/" json.out) ||
  fail "JSON lines"
"$eve" dump many.eve plain --unnamed >unnamed.txt || fail "dump --unnamed"
into_lmdb unnamed.txt unnamed
mdb_dump unnamed >unnamed.out
"$eve" dump -s plain many.eve | grep -v '^database=' >plain.txt
same --unnamed plain.txt unnamed.out
[[ $("$eve" dump -l many.eve | wc -l) == 9 ]] || fail "dump -l"

# Integers, whose order in LMDB is not that of their bytes: they are turned, so
# that the order remains, and turned back. Values of one size keep it, too.
mkdir integers
"$maker" integers integers || exit 1
mdb_dump -a integers >integers.txt || fail "mdb_dump of integers"
"$eve" load integers.eve -f integers.txt >out || fail "load of integers"
for form in bytevalue print; do
  "$eve" dump -q --format=$form integers.eve >integers.$form ||
    fail "dump of integers"
  into_lmdb integers.$form integers.$form.copy
  mdb_dump -a integers.$form.copy >integers.$form.txt
  same "eve dump --format=$form | mdb_load" integers.txt integers.$form.txt
  "$eve" load again.$form.eve -f integers.$form >out || fail "load of its own"
  cmp <("$eve" dump -q --json integers.eve) \
    <("$eve" dump -q --json again.$form.eve) || fail "eve dump | eve load"
done
same 'mdb_dump | eve load of integers' integers.txt integers.bytevalue
grep -a '^\(dup\|integer\)' integers.txt | sort | uniq -c | tr -s ' ' >shapes
[[ $(tr '\n' ';' <shapes) == \
  ' 9 dupfixed=1; 10 duplicates=1; 10 dupsort=1; 3 integerdup=1; 5 integerkey=1;' ]] ||
  fail "shapes of integers: $(<shapes)"
# What is there decides, if it is as good.
sed '/^dupfixed=/d' integers.txt | "$eve" load text.eve >out 2>stderr
"$eve" load text.eve -f integers.txt >out || fail "into strings: $(<out)"
"$eve" collections text.eve | grep -q '^fixed 16	multi_map<string, string>' ||
  fail "strings: $("$eve" collections text.eve)"
mkdir long
"$maker" long long || exit 1
mdb_dump -a long | "$eve" load long.eve >out 2>stderr || fail "load of long"
[[ $(<stderr) == "eve: 'fixed 500': values of this size are loaded as strings"* ]] ||
  fail "long: $(<stderr)"
for type in 'int dups	multi_map<string, uint64>' \
  'all narrow	multi_map<uint32, uint32>' \
  'fixed 8	multi_map<string, tuple(uint64)>' \
  'narrow	ordered_map<uint32, string>' 'wide	ordered_map<uint64, string>'; do
  "$eve" collections integers.eve | grep -q "^$type	" ||
    fail "$type: $("$eve" collections integers.eve)"
done
mdb_dump -s wide integers >wide.txt
"$eve" dump -s wide integers.eve >wide.out
same 'integers there and back' wide.txt wide.out
# As they are stored, LMDB takes them for bytes in the same order.
"$eve" dump -s wide --stored integers.eve >stored.out
grep -q integerkey stored.out && fail "--stored"
into_lmdb stored.out stored.copy
mdb_dump -s wide stored.copy >stored.copy.txt
same --stored stored.out stored.copy.txt
[[ $(sed -n '/^HEADER/,$p' stored.out | md5sum) != \
  $(sed -n '/^HEADER/,$p' wide.out | md5sum) ]] || fail "--stored turns them"
into_lmdb wide.out wide.copy
mdb_dump -s wide wide.copy >wide.copy.txt
cmp <(plain wide.txt) <(plain wide.copy.txt) || fail "integers into LMDB"
"$eve" load wide.eve -f wide.out >out || fail "load of integers from eve"
cmp <("$eve" scan --hex wide.eve wide) <("$eve" scan --hex integers.eve wide) ||
  fail "integers from eve"
"$eve" check integers.eve >out || fail "check of integers"

# An order that Eve does not have is not taken silently.
mkdir reversed
"$maker" reversed reversed || exit 1
mdb_dump -a reversed >reversed.txt
"$eve" load reversed.eve -f reversed.txt >out 2>stderr
[[ $? == 4 && ! -s out && ! -e reversed.eve ]] || fail "reversekey is taken"
grep -q "reversed.txt:9: database 'reversed'.*reversekey=1.*--any-order" stderr ||
  fail "reversekey: $(cat stderr)"
"$eve" load reversed.eve -f reversed.txt --any-order >out || fail "--any-order"
"$eve" load hashed.eve -f reversed.txt --kind=hash >out || fail "--kind=hash"
[[ $("$eve" count reversed.eve reversed) == 100 &&
  $("$eve" count hashed.eve reversed) == 100 ]] || fail "reversed"

# A million records into an unnamed database, in order and not.
for shape in big shuffled; do
  mkdir $shape
  "$maker" $shape $shape || exit 1
  mdb_dump $shape >$shape.txt || fail "mdb_dump of $shape"
  "$eve" load -q $shape.eve stock -f $shape.txt || fail "load of $shape"
  "$eve" dump $shape.eve stock --unnamed >$shape.out || fail "dump of $shape"
  same "$shape" $shape.txt $shape.out
  "$eve" check $shape.eve >out || fail "check of $shape: $(<out)"
  rm $shape.txt $shape.eve
done
[[ $(stat -c %s big/data.mdb) -gt 100000000 ]] || fail "big is small"
into_lmdb big.out big.copy
cmp <(mdb_dump big | plain -) <(mdb_dump big.copy | plain -) ||
  fail "a million records into LMDB"

# Lines of text in pairs mean the same to both.
mkdir pairs
printf '%s\n' 'a' '1' 'b\5cc' 'x\\y' 'new\0aline' '' '\00\ff' 'tab	and blank ' \
  >pairs.txt
mdb_load -T pairs <pairs.txt || fail "mdb_load -T"
"$eve" load -T pairs.eve words <pairs.txt >out || fail "load -T"
"$eve" dump pairs.eve words --unnamed >pairs.out
mdb_dump pairs >pairs.lmdb
same -T pairs.lmdb pairs.out
# -N leaves what is there.
printf 'a\nother\nz\n26\n' | "$eve" load -T -N --json pairs.eve words >out ||
  fail "-N"
[[ $(<out) == *'"records_done":2,'*'"existing":1}'* ]] || fail "-N: $(<out)"
[[ $("$eve" get pairs.eve words a) == 1 && $("$eve" get pairs.eve words z) == 26 ]] ||
  fail "-N has written over a record"
printf 'a\nother\n' | "$eve" load -T pairs.eve words >out || fail "-T again"
[[ $("$eve" get pairs.eve words a) == other ]] || fail "without -N"

[[ $failures == 0 ]] || { echo "$failures failures" >&2; exit 1; }
