#!/usr/bin/env bash
# eve dump | eve load is an identity for every kind and type, beside writers, on
# media that cannot be written; and dumps of damage are not taken for whole.
set -u
source tests/cli/testing.sh || exit 1
eve=$PWD/$1
kinds=$PWD/$2
twins=$PWD/$3
cd "$(mktemp -d "${TEST_TMPDIR:-/tmp}/eve-dump-XXXXXX")" || exit 1
# What a dump says, without sizes; of a map the order is nobody's.
content() { "$eve" dump -q "$@" | grep -av '^mapsize='; }
is_json() {
  python3 -c '
import json, sys
lines = [json.loads(line) for line in sys.stdin]
assert lines
for line in lines: assert isinstance(line, dict)
' <"$1" 2>json || fail "no JSON: $(head -c 300 "$1"): $(tail -1 json)"
}

# Every kind, every form, and back.
"$kinds" make whole.eve || fail "kinds_domain"
runs 0 "$eve" collections whole.eve
[[ $(wc -l <out) == 16 ]] || fail "collections: $(<out)"
grep -q $'^multi tuples\tmulti_map<tuple(string,int16), int32>\t3$' out ||
  fail "collections: $(<out)"
grep -q $'^points\tmap<struct:8, struct:8>\t2$' out || fail "collections: $(<out)"
grep -q $'^hashed set\tmap<string, tuple()>\t11$' out ||
  fail "collections: $(<out)"
for form in bytevalue print jsonl; do
  runs 0 "$eve" dump -q --format=$form whole.eve
  mv out dump.$form
  runs 0 "$eve" load $form.eve -f dump.$form
  "$kinds" check $form.eve || fail "$form"
  runs 0 "$eve" check $form.eve
  cmp <(content whole.eve | sort) <(content $form.eve | sort) || fail "$form"
  # Once more, over what is there.
  runs 0 "$eve" load $form.eve -f dump.$form --batch=1
  "$kinds" check $form.eve || fail "$form twice"
done
is_json dump.jsonl
LC_ALL=C grep -q '[^ -~]' dump.print && fail "a print that is not printable"
# -o, -f and stdout are the same; so are a name and -s.
runs 0 "$eve" dump -q whole.eve -o file.o
cmp file.o dump.bytevalue || fail "dump -o"
runs 0 "$eve" dump -q whole.eve -f file.f
cmp file.f dump.bytevalue || fail "dump -f"
runs 0 "$eve" dump -q whole.eve -a
cmp out dump.bytevalue || fail "dump -a"
cmp <("$eve" dump -q whole.eve words) <("$eve" dump -q -s words whole.eve) ||
  fail "dump -s"
# Letters together, and with their values, as mdb_dump takes them.
runs 0 "$eve" dump -qswords whole.eve
cmp out <("$eve" dump -q whole.eve words) || fail "dump -qswords"
runs 0 "$eve" dump -pqs words -otogether whole.eve
cmp together <("$eve" dump -q --format=print whole.eve words) ||
  fail "dump -pqs words -otogether"
runs 0 "$eve" dump -aqf- whole.eve
cmp out dump.bytevalue || fail "dump -aqf-"
printf 'a\n1\n' >pair
runs 0 "$eve" load -qTNstogether letters.eve -fpair
[[ $("$eve" collections letters.eve) == together$'\t'* ]] ||
  fail "load -qTNstogether"
runs 0 "$eve" dump -q whole.eve words numbers
[[ $(grep -a '^database=' out) == $'database=words\ndatabase=numbers' ]] ||
  fail "dump of two"
for form in '' --stored; do
  runs 0 "$eve" dump -q $form whole.eve unsigned
  if [[ -z $form ]]; then
    grep -q '^integerkey=1$' out && grep -q '^ 0100000000000000$' out
  else
    ! grep -q '^integerkey=1$' out && grep -q '^ 0000000000000001$' out
  fi || fail "dump $form of integers: $(<out)"
  mv out integers.txt
  runs 0 "$eve" load integers$form.eve -f integers.txt
  cmp <(content integers$form.eve) <(content whole.eve unsigned) ||
    fail "integers, $form"
done

# check calls the kinds what collections does.
kinds_of() { grep -o '"kind":"[a-z _]*"' | grep -v 'catalog\|graveyard' | sort; }
cmp <("$eve" check --json whole.eve | kinds_of) \
  <("$eve" collections --json whole.eve | kinds_of) || fail "kinds of check"
"$eve" check -v whole.eve | grep -q "^multi_map [0-9]* 'multi tuples' <" ||
  fail "kinds of check -v"

# What can be asked wrongly.
runs 1 "$eve" dump whole.eve words nonsense
[[ ! -s out ]] || fail "half a dump"
grep -q "no collection 'nonsense'" stderr || fail "$(<stderr)"
for wrong in '--format=xml' '-a words' '--unnamed' '--unnamed words texts' \
  '--progress=now' '--nonsense' '--format=jsonl --unnamed words' '--json --stored' '-s' '-qs' '-qx' '-q-'; do
  # shellcheck disable=SC2086
  runs 2 "$eve" dump whole.eve $wrong
  [[ ! -s out && -s stderr ]] || fail "dump $wrong: no usage error"
done
for verb in dump collections; do
  runs 4 "$eve" $verb no.eve
  [[ ! -e no.eve && ! -e no.eve-lock ]] || fail "$verb has created something"
done
runs 4 "$eve" dump whole.eve -o nowhere/file
grep -q 'nowhere/file' stderr || fail "dump -o nowhere: $(<stderr)"
"$eve" dump -q whole.eve >/dev/full 2>stderr
[[ $? == 4 ]] || fail "a full disk: $(<stderr)"

# JSON of everything that prints, with a key that is not UTF-8.
runs 0 "$eve" put whole.eve texts --hex ff80 00ff
for command in 'get --hex --json whole.eve texts ff80' \
  'get --json whole.eve texts plain' 'scan --json whole.eve texts' \
  'scan --json --hex whole.eve words' 'count --json whole.eve texts' \
  'collections --json whole.eve' 'dump --json whole.eve' \
  'stat --json whole.eve' 'readers --json whole.eve' 'check --json whole.eve' \
  'put --json whole.eve texts k v' 'del --json whole.eve texts k' \
  'version --json' 'top --json --count=1 whole.eve' 'compact --json whole.eve' \
  'load --json again.eve -f dump.bytevalue'; do
  # shellcheck disable=SC2086
  runs 0 "$eve" $command
  is_json out
  grep -q '"schema":1' out || fail "$command: no schema"
done
runs 0 "$eve" scan --json whole.eve texts
grep -q '^{"schema":1,"key_b64":"/4A=","value_b64":"AP8="}$' out ||
  fail "no key_b64"
# Records alone, as scan prints them, can be loaded as well.
mv out records
runs 0 "$eve" load scanned.eve texts -f records
cmp <(content whole.eve texts) <(content scanned.eve texts) || fail "scan | load"
runs 0 "$eve" scan --json --hex whole.eve texts
mv out records
runs 0 "$eve" load hex.eve texts -f records
cmp <(content whole.eve texts) <(content hex.eve texts) || fail "hex | load"

# Progress where it is asked for, and silence.
runs 0 "$eve" dump -q --progress=always -o file.o whole.eve
[[ ! -s out ]] || fail "progress on stdout"
seq 10000 >lines
runs 0 "$eve" load --progress=always -T loud.eve -f lines
[[ $(<stderr) == $'\r'*' %  4096 records, '*' MB/s'* ]] ||
  fail "progress of load: $(<stderr)"
runs 0 "$eve" dump --progress=always -o file.o loud.eve
[[ $(<stderr) == $'\r'*' %  4096 records, '*'/s'* ]] ||
  fail "progress of dump: $(<stderr)"
runs 0 "$eve" load -q -T loud.eve -f lines
[[ ! -s out && ! -s stderr ]] || fail "load -q is loud"
runs 0 "$eve" load -q --json -T loud.eve -f lines
[[ -s out && ! -s stderr ]] || fail "load -q --json: $(<out) $(<stderr)"
runs 0 "$eve" load -v -T loud.eve -f lines
[[ ! -s stderr ]] || fail "load says on stderr: $(<stderr)"
[[ $(head -1 out) == 'main: 5000 records' ]] || fail "load -v: $(<out)"

# One version of all, while another process writes two collections at once.
mkfifo input output
"$twins" twins.eve <input >output &
pid=$!
exec 3>input 4<output
read -r _ <&4 || fail "the writer does not come up"
seen=
for _ in {1..25}; do
  runs 0 "$eve" dump twins.eve
  numbers=$(grep -A1 '^ 6e756d626572$' out | grep '^ 3')
  [[ $(wc -l <<<"$numbers") == 2 && $(uniq <<<"$numbers" | wc -l) == 1 ]] ||
    fail "two versions in one dump: $numbers"
  seen+=$(head -1 <<<"$numbers")$'\n'
done
[[ $(sort -u <<<"$seen" | wc -l) -gt 2 ]] || fail "the writer stands still"
# Loading beside it takes part in the race.
runs 0 "$eve" load twins.eve -T --batch=10 -f lines
[[ $("$eve" count twins.eve main) == 5000 ]] || fail "load beside a writer"
exec 3>&- 4<&-
wait $pid || fail "the writer"
runs 0 "$eve" check twins.eve

# Nobody reads on: without a word.
runs 0 "$eve" load -q -T many.eve -f <(seq 400000)
"$eve" dump many.eve 2>stderr | head -1 >out
[[ ${PIPESTATUS[0]} == 141 && ! -s stderr && -s out ]] ||
  fail "dump | head: $(<stderr)"

# Media that cannot be written.
mkdir media
if mount -t tmpfs -o size=64m tmpfs media 2>stderr; then
  trap 'umount -l media' EXIT
  cp whole.eve media/d.eve
  mount -o remount,ro media || fail "remount"
  for verb in dump collections stat check readers; do
    runs 0 "$eve" $verb media/d.eve
  done
  cmp <(content media/d.eve | sort) <(content whole.eve | sort) ||
    fail "dump of read-only media"
  runs 4 "$eve" load media/d.eve -f dump.bytevalue
  runs 4 "$eve" load media/new.eve -f dump.bytevalue
else
  echo "skipped: read-only media, which this user cannot mount" >&2
fi

# Damage in the middle: an error, and what was written has no end. All copies of
# one leaf are wiped, wherever the live one has been moved to.
runs 0 "$eve" load -q -T hurt.eve -f <(seq 400000 | sed 's/^200002$/needle/')
offsets=$(grep -obUa needle hurt.eve | cut -d: -f1)
[[ -n $offsets ]] || fail "the record to damage is not in the file"
for offset in $offsets; do
  dd if=/dev/zero of=hurt.eve bs=512 seek=$((offset / 512 - 8)) count=9 \
    conv=notrunc 2>stderr
done
runs 3 "$eve" dump hurt.eve
grep -q '^DATA=END' out && fail "a damaged dump looks whole"
[[ -s stderr ]] || fail "damage: no word"
mv out hurt.txt
runs 4 "$eve" load patched.eve -f hurt.txt
grep -q 'hurt.txt:[0-9]*: .*cut off' stderr || fail "damage: $(<stderr)"
runs 3 "$eve" dump --json hurt.eve
grep -q '"end"' out && fail "a damaged dump in JSON looks whole"
printf 'XXXX' | dd of=hurt.eve bs=1 seek=48 conv=notrunc 2>stderr
for verb in dump collections load; do runs 3 "$eve" $verb hurt.eve; done

[[ $failures == 0 ]] || { echo "$failures failures" >&2; exit 1; }
