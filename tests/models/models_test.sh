#!/usr/bin/env bash
# Checks docs/models/commit.pml: nothing is wrong with the protocol as it is, and
# spin finds what is wrong with each mutant of it.
#
#   models_test.sh [--all]    with the combinations that take minutes
set -u
model=$PWD/docs/models/commit.pml
work=$(mktemp -d "${TEST_TMPDIR:-/tmp}/eve-models-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0
for tool in spin gcc; do
  command -v $tool >/dev/null || { echo "$tool is missing" >&2; exit 1; }
done

# search HOW DEFINES...: what the search of it found, in `found`; HOW is `whole`,
# every state, or `random`, an order by a fixed seed, in a bounded table.
search() {
  local how=$1 compile=(-DCOLLAPSE -DMEMLIM=3000) run=()
  shift
  if [[ $how == random ]]; then
    compile=(-DBITSTATE -DT_RAND -DP_RAND)
    run=(-w28 -RS7)
  fi
  spin -a "$@" "$model" >log 2>&1 &&
    gcc -O1 -w -DSAFETY -DVECTORSZ=2048 "${compile[@]}" -o pan pan.c >>log 2>&1 ||
    { cat log >&2; exit 1; }
  # -E: that all wait for a free segment is no error.
  found=$(./pan -m200000 -E -n "${run[@]}" 2>&1)
}
# holds DEFINES...: in all states.
holds() {
  search whole "$@"
  if [[ $found != *'errors: 0'* || $found == *'out of memory'* ||
    $found == *'max search depth too small'* ]]; then
    echo "FAILED: $*" >&2
    echo "$found" >&2
    failures=$((failures + 1))
  else
    echo "holds: $* ($(sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' <<<"$found") states)"
  fi
}
# finds MUTANT DEFINES...
finds() {
  search random "-D$1" "${@:2}"
  if [[ $found == *'assertion violated'* && $found == *'errors: 1'* ]]; then
    echo "found: $1: $(sed -n 's/^pan:1: \(.*\) (at depth.*/\1/p' <<<"$found")"
  else
    echo "FAILED: the mutant $1 is not found: $found" >&2
    failures=$((failures + 1))
  fi
}

holds -DWRITERS=1 -DREADERS=1 -DPASSES=1
holds -DWRITERS=1 -DCOMMITS0=2 -DPASSES=2
holds -DWRITERS=1 -DMORTAL -DPASSES=2
if [[ ${1:-} == --all ]]; then
  holds -DWRITERS=2 -DPASSES=1
  holds -DWRITERS=1 -DFOLDERS=2 -DPASSES=1
  holds -DWRITERS=1 -DREADERS=1 -DMORTAL -DPASSES=1
fi

# What each mutant needs to do harm.
finds PIN_LATE -DWRITERS=1 -DREADERS=1 -DPASSES=1 -DCOMMITS0=2
finds PIN_BLINDLY -DWRITERS=1 -DREADERS=1 -DPASSES=1 -DCOMMITS0=2
finds ONE_CELL -DWRITERS=2 -DPASSES=1 -DCOMMITS1=2
finds NO_TAG -DWRITERS=1 -DCOLLECTORS=2 -DPASSES=1 -DCOMMITS0=2
finds ROW_FIRST -DWRITERS=1 -DPASSES=2 -DCOMMITS0=2
finds PINS_FIRST -DWRITERS=1 -DREADERS=1 -DPASSES=1 -DCOMMITS0=2
finds NEXT_RETIRES -DWRITERS=1 -DPASSES=1 -DCOMMITS0=2
finds EARLY_DEATH -DWRITERS=1 -DREADERS=1 -DPASSES=1 -DCOMMITS0=2
finds FOLD_TWICE -DFOLDERS=2 -DWRITERS=1 -DPASSES=1
finds DEAD_IS_FREE -DMORTAL -DWRITERS=1 -DPASSES=2

# Each mutant that the model has is tried.
for mutant in $(sed -n 's/^ \*   \([A-Z_]*\)  .*/\1/p' "$model"); do
  grep -q "^finds $mutant " "$OLDPWD/tests/models/models_test.sh" ||
    { echo "FAILED: $mutant is not tried" >&2; failures=$((failures + 1)); }
done

[[ $failures == 0 ]] || { echo "$failures failures" >&2; exit 1; }
