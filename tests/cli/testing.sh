# What the tests of the command line share. To be sourced; `failures` counts.
failures=0

fail() {
  printf 'FAILED: %s\n' "$*" >&2
  failures=$((failures + 1))
}
# runs CODE COMMAND...: stdout goes to out, stderr to stderr.
runs() {
  local expected=$1 code
  shift
  "$@" >out 2>stderr
  code=$?
  [[ $code == "$expected" ]] || fail "$*: code $code: $(cat stderr)"
}
# number NAME: of the JSON in out.
number() { sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" out; }
# enter_memory NAME: a folder in memory, where flushing takes no time, which
# goes with the test.
enter_memory() {
  local base=${TEST_TMPDIR:-/tmp}
  [[ -w /dev/shm ]] && base=/dev/shm
  work=$(mktemp -d "$base/eve-$1-XXXXXX") || exit 1
  trap 'rm -rf "$work"' EXIT
  cd "$work" || exit 1
}
