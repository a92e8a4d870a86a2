#!/usr/bin/env bash
# What eve load says of bad input, what it leaves, and how it is interrupted.
set -u
source tests/cli/testing.sh || exit 1
eve=$PWD/$1
interrupted=$PWD/$2
cd "$(mktemp -d "${TEST_TMPDIR:-/tmp}/eve-load-XXXXXX")" || exit 1

# refuses LINE PATTERN OPTION...: the file `bad` is refused with an error about
# this line, and what was in the domain before is all that is in it after.
"$eve" put old.eve main kept value || exit 1
refuses() {
  local line=$1 pattern=$2
  shift 2
  rm -f new.eve new.eve-lock
  runs 4 "$eve" load new.eve -f bad "$@"
  [[ ! -s out ]] || fail "stdout of bad input: $(<out)"
  # shellcheck disable=SC2053
  [[ $(head -1 stderr) == "eve: bad:$line: "$pattern ]] ||
    fail "expected line $line, $pattern: $(<stderr)"
  [[ ! -e new.eve ]] || fail "made a file of bad input: $pattern"
  runs 4 "$eve" load old.eve -f bad "$@"
  [[ $("$eve" scan old.eve main) == $'kept\tvalue' &&
    $("$eve" collections old.eve | wc -l) == 1 ]] ||
    fail "bad input has left something: $("$eve" dump old.eve)"
}
head='VERSION=3\nformat=bytevalue\nHEADER=END\n'
printf '' >bad; refuses 1 '*empty*'
printf 'VERSION=3\nformat=bytevalue\n' >bad; refuses 2 '*cut off'
printf 'VERSION=3\nHEADER=END' >bad; refuses 2 '*cut off'
printf 'VERSION=4\nHEADER=END\nDATA=END\n' >bad; refuses 1 'VERSION=4*'
printf 'VERSION=x\nHEADER=END\nDATA=END\n' >bad; refuses 1 '*no number'
printf 'VERSION=3\nformat=xml\nHEADER=END\nDATA=END\n' >bad; refuses 2 'format=xml*'
printf 'VERSION=3\ntype=queue\nHEADER=END\nDATA=END\n' >bad; refuses 2 'type=queue*'
printf ' 61\n 62\n' >bad; refuses 1 'a record where a header should be*-T*'
printf 'hello\nworld\n' >bad; refuses 1 "'hello' where a line KEYWORD=VALUE*-T*"
printf "${head} 61\n 62\n" >bad; refuses 5 '*without DATA=END*cut off'
printf "${head} 61\n" >bad; refuses 4 '*between a key and its value*cut off'
printf "${head} 61\n 6" >bad; refuses 5 '*inside a record*cut off'
printf "${head} 61\n 62\nDATA=EN" >bad; refuses 6 '*cut off'
printf "${head} 61\nDATA=END\n" >bad; refuses 5 'a key without a value*'
printf "${head} 616\n 62\nDATA=END\n" >bad; refuses 4 'an odd number (3)*'
printf "${head} 61\n 6x\nDATA=END\n" >bad; refuses 5 'no hexadecimal digits in columns 1 and 2*'
printf "${head} 61\n 00112233445566778899aabbccddeeff0011 2\nDATA=END\n" >bad
refuses 5 'no hexadecimal digits in columns 37 and 38*'
printf "${head} 61\n 001122334455667788g9aabbccddeeff0011\nDATA=END\n" >bad
refuses 5 'no hexadecimal digits in columns 19 and 20*'
printf "${head}61\n62\nDATA=END\n" >bad; refuses 4 'neither a record*'
printf "${head} 61\r\n 62\r\nDATA=END\r\n" >bad; refuses 4 '*CR LF*tr -d*'
printf "VERSION=3\r\nHEADER=END\r\nDATA=END\r\n" >bad; refuses 1 '*CR LF*'
printf "${head} 61\n 62\nDATA=END\r\n" >bad; refuses 6 '*CR LF*'
printf 'VERSION=3\nformat=print\nHEADER=END\n a\\b\n c\nDATA=END\n' >bad
refuses 4 'the backslash in column 2*dump without -p'
printf 'VERSION=3\neve_records=2\nHEADER=END\n 61\n 62\nDATA=END\n' >bad
refuses 6 'the header says 2 records, and 1 came*'
printf 'VERSION=3\neve_section=1/2\nHEADER=END\nDATA=END\n' >bad
"$eve" load part.eve -f bad >out 2>stderr
[[ $? == 4 ]] || fail "a missing section is taken"
grep -q '^eve: bad:4: collection number 2 of 2 .* the end of the input.*cut off$' \
  stderr || fail "a missing section: $(<stderr)"
printf 'VERSION=3\neve_section=2/2\nHEADER=END\nDATA=END\n' >bad
refuses 3 'collection number 1 of*'
printf 'VERSION=3\neve_kind=heap\nHEADER=END\nDATA=END\n' >bad
refuses 3 'eve_kind=heap is unknown*'
printf 'VERSION=3\neve_kind=sorted_set\nHEADER=END\n 61\n 62\nDATA=END\n' >bad
refuses 5 'a value of 1 bytes in a set'
printf 'VERSION=3\ndatabase=n\neve_kind=ordered_map\neve_key_type=int64\nHEADER=END\n 61\n 62\nDATA=END\n' >bad
refuses 7 'a key of 1 bytes that is no int64*'
printf 'VERSION=3\ndatabase=n\nintegerkey=1\nHEADER=END\n 616263\n 62\nDATA=END\n' >bad
refuses 5 'a key of 3 bytes where the header says integers, which have 4 or 8'
printf 'VERSION=3\ndatabase=n\nintegerkey=1\nHEADER=END\n 61626364\n 62\n 6162636465666768\n 62\nDATA=END\n' >bad
refuses 7 'a key of 8 bytes where the header says integers, here uint32'
printf 'VERSION=3\ndatabase=n\ndupsort=1\nHEADER=END\n 61\n 62\nDATA=END\n' >bad
refuses 4 "database 'n' has several values for a key*" --kind=hash
{ printf "$head "; head -c 131074 /dev/zero | tr '\0' 6; printf '\n 61\nDATA=END\n'; } >bad
refuses 4 'a key of 65537 bytes; at most 65536 are allowed'
{ printf "$head "; head -c 30000000 /dev/zero | tr '\0' 6; } >bad
refuses 4 'a line of more than 393217 bytes*'
{ head -c 30000000 /dev/zero | tr '\0' x; } >bad
refuses 1 'a line of more than 4096 bytes*'
{ printf 'VERSION=3\ndatabase=n\ndupsort=1\nHEADER=END\n 61\n '
  head -c 131072 /dev/zero | tr '\0' 6; printf '\nDATA=END\n'; } >bad
refuses 6 'a key and a value of 65539 bytes as they are stored*'
# Pairs of lines.
printf 'a\n1\nb\n' >bad; refuses 3 '*the number of lines is odd' -T
printf 'a\n1\nb\n2' >bad; refuses 4 '*does not end with a newline' -T
printf 'a\n1\nb\\x\n2\n' >bad; refuses 3 'the backslash in column 2*' -T
printf 'a\r\n1\r\n' >bad; refuses 1 '*CR LF*\\0d)' -T
# JSON lines.
json='{"collection":"c","kind":"map","key_type":"string","value_type":"string"'
printf '{"key":"a","value":"b"\n' >bad; refuses 1 'not a JSON object*'
printf '[1]\n' >bad; refuses 1 'not a JSON object*' --format=jsonl
printf '{"key":"a"}\n' >bad; refuses 1 'a record has a "value"*'
printf '{"key":1,"value":"b"}\n' >bad; refuses 1 "'key' is no string"
printf '{"value":"b"}\n' >bad; refuses 1 'a record has a "key"*'
printf '{"key_b64":"?","value":"b"}\n' >bad; refuses 1 "'key_b64' is no base 64"
printf '{"key_hex":"6","value":"b"}\n' >bad; refuses 1 "'key_hex': *"
printf '{"key":"\\ud800","value":"b"}\n' >bad; refuses 1 'not a JSON object*'
printf '{"key":"a","value":"\xff"}\n' >bad; refuses 1 'not a JSON object*'
printf '%s\n' "$json}" '{"key":"a","value":"b"}' >bad; refuses 2 '*"end"*cut off'
printf '%s\n' "$json,\"records\":2}" '{"key":"a","value":"b"}' '{"end":"c"}' >bad
refuses 3 'the header says 2 records*'
printf '%s\n' "$json,\"records\":-1}" '{"end":"c"}' >bad; refuses 1 "'records' is no number*"
{ head -c 100000 /dev/zero | tr '\0' '['; echo; } >bad; refuses 1 'not a JSON*' --format=jsonl
# What a collection before it has brought is in.
for tail in '' ' 63\n'; do
  printf "${head} 61\n 62\nDATA=END\n${tail:-\n}" >bad
  rm -f tail.eve tail.eve-lock
  runs 4 "$eve" load tail.eve -f bad
  grep -q '^eve: bad:7: ' stderr || fail "behind the end: $(<stderr)"
  grep -q 'the first 1 records' stderr || fail "behind the end: $(<stderr)"
  [[ $("$eve" scan tail.eve main) == $'a\tb' ]] || fail "behind the end"
done

# Sections without a name go to one collection, and are one in what it says.
printf "${head} 61\n 62\nDATA=END\n${head} 63\n 64\nDATA=END\n" >twice
runs 0 "$eve" load -v twice.eve -f twice
[[ $(<out) == $'main: 2 records\ntwice.eve: 2 records in 1 collection ('*' s)' ]] ||
  fail "two sections for one collection: $(<out)"
runs 0 "$eve" load --json twice.eve -f twice
[[ $(<out) == *'"collections":[{"name":"main",'*',"records":2,"existing":0}]}' ]] ||
  fail "two sections for one collection: $(<out)"

# Asked wrongly.
for wrong in '--kind=heap' '--batch=0' '--batch=x' '--skip=-1' '--format=xml' \
  '-T --format=mdb' '-s a b' '--durability=high' '--progress=x' '--nonsense'; do
  # shellcheck disable=SC2086
  runs 2 "$eve" load old.eve $wrong
  [[ ! -s out && -s stderr ]] || fail "load $wrong: no usage error"
done
runs 4 "$eve" load old.eve -f nowhere
runs 4 "$eve" load old.eve -f .
runs 4 "$eve" load nowhere/new.eve -T -f <(printf 'a\nb\n')
grep -q 'nowhere' stderr || fail "no folder: $(<stderr)"
printf 'VERSION=3\neve_kind=map\nHEADER=END\n 61\n 62\nDATA=END\n' >other
runs 4 "$eve" load old.eve -f other
grep -q "'main' is ordered_map<string, string>, asked for map" stderr ||
  fail "another kind: $(<stderr)"

# Without a word about the kind, what is there stays what it is.
runs 0 "$eve" load hash.eve -T --kind=hash -f <(printf 'a\n1\n')
runs 0 "$eve" load hash.eve -T -f <(printf 'b\n2\n')
[[ $("$eve" collections hash.eve) == $'main\tmap<string, string>\t2' ]] ||
  fail "an existing kind: $("$eve" collections hash.eve)"
# Keys in no order, and the same one again: the last one counts.
runs 0 "$eve" load turn.eve -T --batch=3 -f <(printf '%s\n' z 1 a 2 m 3 z 4 a 5)
[[ $("$eve" scan turn.eve main | tr '\t\n' '= ') == 'a=5 m=3 z=4 ' ]] ||
  fail "no order: $("$eve" scan turn.eve main)"
runs 0 "$eve" load keep.eve -N -T --batch=3 -f <(printf '%s\n' z 1 a 2 m 3 z 4 a 5)
[[ $("$eve" scan keep.eve main | tr '\t\n' '= ') == 'a=2 m=3 z=1 ' ]] ||
  fail "-N: $("$eve" scan keep.eve main)"
# Berkeley DB's header; an empty key; hexadecimal of either case.
printf 'VERSION=2\nformat=bytevalue\ntype=hash\nh_ffactor=40\ndb_lorder=1234\nHEADER=END\n \n 0AfF\nDATA=END\n' |
  "$eve" load bdb.eve >out 2>stderr || fail "db_dump: $(<stderr)"
[[ $("$eve" scan --hex bdb.eve main) == $'\t0aff' ]] || fail "db_dump"

# Batches before the bad one stay, and it says how to go on.
seq 2000 | sed 's/.*/key &\nvalue &/' >good
sed '3003s/$/\\/' good >bad
runs 4 "$eve" load resumed.eve -T --batch=100 -f bad
grep -q '^eve: bad:3003: ' stderr || fail "batches: $(<stderr)"
grep -q "^eve: the first 1500 records .* '--skip=1500'" stderr ||
  fail "batches: $(<stderr)"
[[ $("$eve" count resumed.eve main) == 1500 ]] || fail "batches"
runs 0 "$eve" load resumed.eve -T --json --batch=100 --skip=1500 -f good
[[ $(number records_done) == 2000 && $(number records) == 500 ]] ||
  fail "--skip: $(<out)"
"$eve" load whole.eve -q -T -f good
cmp <("$eve" scan resumed.eve main) <("$eve" scan whole.eve main) ||
  fail "resumed"
# Runs between escapes of every length, at both ends and next to each other.
python3 - >escapes <<'END'
import random
random.seed(4)
print('VERSION=3\nformat=print\nHEADER=END')
for i in range(3000):
    text = ''.join(random.choice(['\\\\', '\\5C', '\\0a', 'x' * random.randrange(40)])
                   for _ in range(random.randrange(9)))
    print(f' {i:04d}\n {text}')
print('DATA=END')
END
python3 -c '
import re
lines = open("escapes").read().split("\n")[3:-2]
for key, value in zip(lines[::2], lines[1::2]):
    value = re.sub(r"\\(\\|..)",
                   lambda m: "\\" if m[1] == "\\" else chr(int(m[1], 16)), value[1:])
    print(key[1:].encode().hex(), value.encode().hex(), sep="\t")' >decoded
runs 0 "$eve" load -q escapes.eve -f escapes
cmp <("$eve" scan --hex escapes.eve main) decoded || fail "escapes"
# A full disk: the same promise.
head -c 900000 /dev/urandom | od -An -v -tx1 -w45 | tr -d ' ' |
  sed 's/.*/&\n&&&&&&&&&&&&&&&&&&&&/' >much
(trap '' XFSZ; ulimit -f 20480; exec "$eve" load full.eve -T --batch=500 -f much) \
  >out 2>stderr
[[ $? == 4 ]] || fail "a full disk"
grep -q '^eve: lines [0-9]* to [0-9]*: .*full.eve' stderr || fail "full: $(<stderr)"
done=$(sed -n 's/^eve: the first \([0-9]*\) records.*/\1/p' stderr)
[[ $done -gt 500 && $done -lt 20000 && $((done % 500)) == 0 &&
  $("$eve" count full.eve main) == "$done" ]] || fail "full: $done records"
runs 0 "$eve" check full.eve
runs 0 "$eve" load -q full.eve -T --skip="$done" -f much
[[ $("$eve" count full.eve main) == 20000 ]] || fail "after the full disk"
# A first batch that does not fit leaves neither a collection nor, where there
# was none, a domain; limited to a file of 17 MB, or on a disk of 4 MiB.
# leaves_nothing FOLDER COMMAND...
leaves_nothing() {
  local folder=$1
  shift
  runs 4 "$@" "$eve" load "$folder/new.eve" -T -f much
  grep -q "^eve: lines 1 to [0-9]*: .*$folder/new.eve: " stderr ||
    fail "a full $folder: $(<stderr)"
  [[ -z $(ls -A "$folder") ]] || fail "in $folder is $(ls -A "$folder")"
  "$eve" put "$folder/old.eve" main kept value || fail "put into $folder"
  runs 4 "$@" "$eve" load "$folder/old.eve" fresh -T -f much
  grep -q 'first 0 records.*all else is as it was' stderr ||
    fail "a full $folder: $(<stderr)"
  runs 0 "$eve" collections "$folder/old.eve"
  [[ $(<out) == $'main\tordered_map<string, string>\t1' ]] ||
    fail "a full $folder leaves $(<out)"
  runs 0 "$eve" check "$folder/old.eve"
}
in_little() { (trap '' XFSZ; ulimit -f 17000; exec "$@"); }
mkdir limited small
leaves_nothing limited in_little
if mount -t tmpfs -o size=4m tmpfs small 2>stderr; then
  trap 'umount -l small' EXIT
  leaves_nothing small
else
  echo "skipped: a small disk, which this user cannot mount" >&2
fi
# Several that make one domain at once: all of what they bring is in it.
pids=
for n in {1..6}; do
  "$eve" load -q -T together.eve part$n -f good &
  pids+=" $!"
done
for pid in $pids; do wait "$pid" || fail "load beside load"; done
for n in {1..6}; do
  [[ $("$eve" count together.eve part$n) == 2000 ]] || fail "together: $n"
done
[[ $(echo together.eve*) == 'together.eve together.eve-lock' ]] ||
  fail "together: $(echo together.eve*)"

# A signal that is there from the start stops it before it has begun.
for signal in 2 15; do
  rm -f stopped.eve stopped.eve-lock
  runs $((128 + signal)) "$interrupted" $signal "$eve" load stopped.eve -T -f good
  [[ ! -e stopped.eve ]] || fail "signal $signal: it was not stopped"
  grep -q 'the first 0 records' stderr || fail "signal $signal: $(<stderr)"
done
# In the middle of a batch, while it waits: what came is in, and no more than it
# says. It goes on where it was.
mkfifo pipe
# A shell starts what is in the background with the signal ignored.
(trap - INT; exec "$eve" load middle.eve -T --json -f pipe) >out 2>stderr &
pid=$!
exec 3>pipe
cat good good good good >&3  # more than a pipe holds: it has read a part
kill -INT $pid
wait $pid
[[ $? == 130 ]] || fail "SIGINT: $(<stderr)"
exec 3>&-
done=$(number records_done)
[[ $(<out) == *'"complete":false'* && $done -gt 0 && $done -le 8000 ]] ||
  fail "SIGINT: $(<out)"
grep -q "^eve: the first $done records" stderr || fail "SIGINT: $(<stderr)"
[[ $("$eve" count middle.eve main) == $((done < 2000 ? done : 2000)) ]] ||
  fail "SIGINT: $done are not in"
runs 0 "$eve" check middle.eve
cat good good good good >all
runs 0 "$eve" load middle.eve -T --skip="$done" -f all
cmp <("$eve" scan middle.eve main) <("$eve" scan whole.eve main) ||
  fail "after SIGINT"
# One that is ignored from the start stays so.
for signal in INT TERM; do
  (trap '' $signal; exec "$eve" load ignored.eve -T --json -f pipe) >out 2>stderr &
  pid=$!
  exec 3>pipe
  cat good good good good >&3
  kill -$signal $pid
  cat good >&3
  exec 3>&-
  wait $pid
  [[ $? == 0 && $(number records_done) == 10000 ]] ||
    fail "an ignored SIG$signal: $(<out) $(<stderr)"
done

# Collections whose values are read in place: structs of one size, arrays of all.
{
  printf 'VERSION=3\nformat=bytevalue\ndatabase=in_place\n'
  printf 'eve_key_type=string\neve_value_type=aligned:struct:3\nHEADER=END\n'
  printf ' 61\n 616263\n 6262\n 646566\nDATA=END\n'
  printf 'VERSION=3\nformat=bytevalue\ndatabase=arrays\n'
  printf 'eve_key_type=string\neve_value_type=aligned:array:2\nHEADER=END\n'
  printf ' 61\n \n 6262\n 61626364\nDATA=END\n'
} >aligned
runs 0 "$eve" load aligned.eve -f aligned
runs 0 "$eve" check aligned.eve
[[ $("$eve" collections aligned.eve) == *'aligned:array:2'*'aligned:struct:3'* ]] ||
  fail "aligned: $("$eve" collections aligned.eve)"
"$eve" dump aligned.eve | "$eve" load again.eve >out 2>stderr ||
  fail "a dump of aligned values: $(<stderr)"
cmp <("$eve" dump aligned.eve | sed -e 1,/HEADER=END/d -e /^mapsize=/d) \
  <("$eve" dump again.eve | sed -e 1,/HEADER=END/d -e /^mapsize=/d) || fail "aligned values change"
sed 's/ 61626364$/ 616263/' aligned >bad
runs 4 "$eve" load odd.eve -f bad
grep -q 'no aligned:array:2' stderr || fail "an odd array: $(<stderr)"

[[ $failures == 0 ]] || { echo "$failures failures" >&2; exit 1; }
