#!/usr/bin/env bash
# The promises of the command line: what goes where, and the exit codes.
set -u
eve=$PWD/$1
cd "$(mktemp -d "${TEST_TMPDIR:-/tmp}/eve-cli-XXXXXX")" || exit 1
failures=0

# expect CODE STDOUT COMMAND...: both must match; "*" is any output.
expect() {
  local code=$1 output=$2 found
  shift 2
  found=$("$@" 2>stderr; echo "code $?")
  local want="$output${output:+$'\n'}code $code"
  [[ $output == "*" ]] && want=$found && [[ ${found##*code } != "$code" ]] &&
    want="any output, code $code"
  if [[ $found != "$want" ]]; then
    printf 'FAILED: %s\n  expected: %s\n  found: %s\n  stderr: %s\n' \
      "$*" "$want" "$found" "$(cat stderr)" >&2
    failures=$((failures + 1))
  fi
}

# Somebody who is stopped while opening keeps others from it; they give up. That
# takes them ten seconds, beside all else.
mkdir waiting
"$eve" put waiting/d.eve a b c || failures=$((failures + 1))
mkfifo release held
python3 -c '
import fcntl, struct
lock = open("waiting/d.eve-lock", "r+b")
F_OFD_SETLK = 37
fcntl.fcntl(lock, F_OFD_SETLK,
            struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 1 << 40, 1, 0))
print("held", flush=True)
open("release").read()' >held &
opening=$!
read -r _ <held || failures=$((failures + 1))
"$eve" get waiting/d.eve a b >waiting/out 2>waiting/stderr &
reading=$!
"$eve" put waiting/d.eve a b d >waiting/out2 2>waiting/stderr2 &
writing=$!

# Reading creates nothing.
for verb in get del; do expect 4 '' "$eve" $verb no.eve a k; done
expect 4 '' "$eve" scan no.eve a
expect 4 '' "$eve" stat no.eve
expect 4 '' "$eve" check no.eve
[[ -z $(ls -A -I stderr -I waiting -I release -I held) ]] || { ls -A; failures=$((failures + 1)); }

# Writing and reading.
expect 0 '' "$eve" put shop.eve fruit apple red
expect 0 '' "$eve" put shop.eve fruit --hex 00ff 0a0b
expect 0 '' "$eve" put --durability=none shop.eve fruit -- -k -v
expect 0 '' "$eve" put --durability checkpoint shop.eve fruit empty ''
expect 0 '726564' "$eve" get --hex shop.eve fruit 6170706c65
expect 0 '0a0b' "$eve" get --hex shop.eve fruit 00ff
expect 1 '' "$eve" get shop.eve fruit pear
expect 1 '' "$eve" get shop.eve vegetables pear
expect 1 '' "$eve" scan shop.eve vegetables
expect 1 '' "$eve" del shop.eve vegetables pear
[[ $("$eve" get shop.eve fruit apple) == red ]] || failures=$((failures + 1))
[[ $("$eve" get shop.eve fruit -- -k) == -v ]] || failures=$((failures + 1))
lines=$("$eve" scan shop.eve fruit)
[[ $lines == *$'apple\tred'* && $lines == *$'\\x00\\xff\t\\x0a\\x0b'* ]] ||
  { echo "scan: $lines" >&2; failures=$((failures + 1)); }
[[ $("$eve" scan --limit=2 shop.eve fruit | wc -l) == 2 ]] ||
  failures=$((failures + 1))
[[ $("$eve" scan --json shop.eve fruit) == *'{"schema":1,"key_b64":"AP8='* ]] ||
  failures=$((failures + 1))

# A new collection is in order; ranges, from either end.
for key in b a d c aa; do expect 0 '' "$eve" put shop.eve letters $key 1; done
# keys EXPECTED OPTION...: what a scan prints, on one line.
keys() {
  local want=$1 found
  shift
  found=$("$eve" scan shop.eve letters "$@" | cut -f1 | tr '\n' ' ')
  [[ $found == "$want" ]] && return
  echo "FAILED: scan $*: $found instead of $want" >&2
  failures=$((failures + 1))
}
keys 'a aa b c d '
keys 'd c b aa a ' --reverse
keys 'aa b ' --from=aa --to=c
keys 'b aa ' --from=aa --to=c --reverse
keys 'a ' --to aa
keys 'c d ' --from c
keys 'a aa ' --prefix a
keys 'aa ' --prefix a --reverse --limit 1
keys '6161 62 ' --hex --from=6161 --to=63
keys '' --prefix x
expect 0 5 "$eve" count shop.eve letters
expect 0 2 "$eve" count shop.eve letters --prefix=a
expect 0 3 "$eve" count shop.eve letters --from=aa --to=d
expect 0 2 "$eve" count shop.eve letters --hex --from=63
expect 1 '' "$eve" count shop.eve vegetables
expect 2 '' "$eve" count shop.eve letters --prefix=a --from=a
expect 2 '' "$eve" scan shop.eve letters --hex --from=xyz
expect 4 '' "$eve" count no.eve letters

# Values of any bytes through stdin and stdout, exactly.
head -c 3000000 /dev/urandom >big
expect 0 '' "$eve" put shop.eve blobs big - <big
"$eve" get shop.eve blobs big | cmp - big || failures=$((failures + 1))
"$eve" scan shop.eve blobs | head -c 10 >head 2>stderr
[[ -s head && ! -s stderr ]] || failures=$((failures + 1))

expect 0 '' "$eve" del shop.eve fruit apple
expect 1 '' "$eve" del shop.eve fruit apple

# What put and del say, if it is asked for; bytes that are no text as well.
expect 0 '{"schema":1,"collection":"fruit","key":"fig","value_bytes":6}' \
  "$eve" put --json shop.eve fruit fig purple
expect 0 '{"schema":1,"collection":"fruit","key_b64":"/w==","value_bytes":0}' \
  "$eve" put --json --hex shop.eve fruit ff ''
expect 0 '{"schema":1,"collection":"fruit","key":"fig","erased":true}' \
  "$eve" del --json shop.eve fruit fig
expect 1 '{"schema":1,"collection":"fruit","key":"fig","erased":false}' \
  "$eve" del --json shop.eve fruit fig
expect 1 '{"schema":1,"collection":"none","key":"fig","erased":false}' \
  "$eve" del --json shop.eve none fig
expect 0 '' "$eve" put -q shop.eve fruit fig purple
expect 0 '' "$eve" del --quiet shop.eve fruit fig

# Usage.
expect 2 '' "$eve"
expect 2 '' "$eve" nonsense
expect 2 '' "$eve" get shop.eve fruit
expect 2 '' "$eve" get shop.eve fruit a b
expect 2 '' "$eve" get --nonsense shop.eve fruit a
expect 2 '' "$eve" get --hex shop.eve fruit xyz
expect 2 '' "$eve" get --hex=1 shop.eve fruit 00
expect 2 '' "$eve" put --durability=high shop.eve fruit a b
expect 2 '' "$eve" scan --limit shop.eve
expect 0 '*' "$eve" help
expect 0 '*' "$eve" help put
expect 0 '*' "$eve" put --help
expect 2 '' "$eve" help nonsense
expect 2 '' "$eve" help get put
expect 2 '' "$eve" help --nonsense
expect 0 '*' "$eve" help help
expect 0 '*' "$eve" help version
expect 0 '*' "$eve" --help
expect 0 '*' "$eve" --version
expect 2 '' "$eve" version junk
expect 2 '' "$eve" --version junk
expect 2 '' "$eve" version --nonsense
[[ $("$eve" version --json) == '{"schema":1,"version":"'*'","format_version":'*'}' ]] ||
  { echo "version --json: $("$eve" version --json)" >&2; failures=$((failures + 1)); }
[[ $("$eve" -V) == "$("$eve" version)" && $("$eve" -V) == 'eve '*' (file format '*')' ]] ||
  failures=$((failures + 1))

# Those who waited.
for waiter in $reading $writing; do
  wait $waiter
  [[ $? == 5 ]] || { echo "no exit code 5" >&2; failures=$((failures + 1)); }
done
grep -q "d.eve.* held by process $opening (python3)" waiting/stderr &&
  grep -q "d.eve.* held by process $opening (python3)" waiting/stderr2 &&
  [[ ! -s waiting/out && ! -s waiting/out2 ]] || failures=$((failures + 1))
: >release
wait $opening
[[ $("$eve" get waiting/d.eve a b) == c ]] || failures=$((failures + 1))

# Files that cannot be used.
expect 4 '' "$eve" get / fruit apple
expect 4 '' "$eve" check "$0"
expect 4 '' "$eve" put nowhere/shop.eve a b c
"$eve" scan shop.eve fruit >/dev/full 2>stderr
[[ $? == 4 ]] || failures=$((failures + 1))

# Stat and check.
expect 0 '*' "$eve" stat shop.eve
expect 0 '*' "$eve" check -v shop.eve
[[ $("$eve" stat --json shop.eve) == *'"name":"fruit","kind":"ordered_map"'* ]] ||
  failures=$((failures + 1))
[[ $("$eve" check --json shop.eve) == *'"ok":true'* ]] ||
  failures=$((failures + 1))
chmod 0444 shop.eve
expect 0 '*' "$eve" check shop.eve
chmod 0644 shop.eve

# What is no file: a pipe, which nobody waits at; a lock file that is a folder,
# which says nothing of the domain.
mkfifo pipe.eve
for verb in get put; do
  expect 4 '' "$eve" $verb pipe.eve fruit apple ${verb#get}
done
mv shop.eve-lock kept-lock
mkdir shop.eve-lock
for verb in get put; do
  expect 4 '' "$eve" $verb shop.eve fruit apple ${verb#get}
  grep -q "shop.eve-lock: it is a directory" stderr && ! grep -q "dd if=" stderr ||
    { cat stderr; failures=$((failures + 1)); }
done
rmdir shop.eve-lock
mv kept-lock shop.eve-lock

# Damage: in a block, in a slot, in the superblock.
cp shop.eve whole
offset=$("$eve" check -v shop.eve |
  sed -n 's/^slot.*record at \([0-9]*\)$/\1/p' | sort -n | tail -1)
printf 'X' | dd of=shop.eve bs=1 seek=$((offset + 20)) conv=notrunc 2>stderr
expect 3 '*' "$eve" check shop.eve
cp whole shop.eve
printf 'XXXX' | dd of=shop.eve bs=1 seek=48 conv=notrunc 2>stderr
expect 3 '*' "$eve" check shop.eve
expect 3 '' "$eve" get shop.eve fruit empty
cp whole shop.eve
# Not even the first bytes are a domain's: they are any copy's.
head -c 4096 /dev/urandom | dd of=shop.eve bs=4096 conv=notrunc 2>stderr
for verb in check stat dump load; do
  expect 3 '' "$eve" $verb shop.eve
  grep -q "^eve: shop.eve: .*first bytes were overwritten.*if=COPY of=shop.eve" \
    stderr || { cat stderr; failures=$((failures + 1)); }
done
cp whole copy
"$eve" put copy fruit more 1 || failures=$((failures + 1))
advice=$(sed -n 's/.*(dd if=COPY \(.*\))$/\1/p' stderr)
# shellcheck disable=SC2086
dd if=copy $advice 2>dd || { cat dd; failures=$((failures + 1)); }
expect 0 '*' "$eve" check shop.eve
head -c 300000 /dev/urandom >noise
expect 4 '' "$eve" check noise
cp whole shop.eve
expect 0 '*' "$eve" check shop.eve

# A full disk: a clear error, nothing lost, and it works again with more room.
# Without the right to mount one, a limit on the size of files is what is full.
mkdir small
if mount -t tmpfs -o size=12m tmpfs small 2>stderr; then
  trap 'umount -l small' EXIT
  limited() { "$@"; }
  full='No space left on device'
else
  limited() { (trap '' XFSZ; ulimit -f 20480; exec "$@"); }
  full='File too large'
fi
head -c 30000000 /dev/zero >bigger
expect 0 '' limited "$eve" put small/d.eve m first 1
expect 4 '' limited "$eve" put small/d.eve m huge - <bigger
grep -q "small/d.eve.*$full" stderr || { cat stderr; failures=$((failures + 1)); }
expect 1 '' "$eve" get small/d.eve m huge
[[ $("$eve" get small/d.eve m first) == 1 ]] || failures=$((failures + 1))
expect 0 '' limited "$eve" put small/d.eve m second 2
if mountpoint -q small; then
  dd if=/dev/zero of=small/ballast bs=4096 2>stderr
  expect 4 '' "$eve" put small/d.eve m big - <big
  grep -q "small/d.eve.*$full" stderr ||
    { cat stderr; failures=$((failures + 1)); }
  rm small/ballast
fi
expect 0 '' "$eve" put small/d.eve m big - <big
"$eve" get small/d.eve m big | cmp - big || failures=$((failures + 1))
[[ $("$eve" get small/d.eve m second) == 2 ]] || failures=$((failures + 1))
expect 0 '*' "$eve" check small/d.eve

[[ $failures == 0 ]] || { echo "$failures failures" >&2; exit 1; }
