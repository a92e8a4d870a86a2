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
# every state, or `SEED/BITS`, a random order in a table of 2^BITS bits, which ends
# when the table is full.
search() {
  local how=$1 compile=(-DCOLLAPSE -DMEMLIM=3000) run=()
  shift
  if [[ $how != whole ]]; then
    compile=(-DBITSTATE -DT_RAND -DP_RAND)
    run=("-RS${how%/*}" "-w${how#*/}")
  fi
  spin -a "$@" "$model" >log 2>&1 &&
    gcc -O1 -w -DSAFETY -DVECTORSZ=2048 "${compile[@]}" -o pan pan.c >>log 2>&1 ||
    { cat log >&2; exit 1; }
  # -E: that all wait for a free segment is no error.
  found=$(./pan -m200000 -E -n "${run[@]}" 2>&1)
}
# states: how many the last search has seen.
states() { sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' <<<"$found"; }
declare -A is_sound=()
# holds DEFINES...: in all states.
holds() {
  search whole "$@"
  if [[ $found != *'errors: 0'* || $found == *'out of memory'* ||
    $found == *'max search depth too small'* ]]; then
    echo "FAILED: $*" >&2
    echo "$found" >&2
    failures=$((failures + 1))
  else
    echo "holds: $* ($(states) states)"
    is_sound[$*]=1
  fi
}
# control HOW DEFINES...: without a mutant the same search finds nothing, or what it
# finds in one may be an error of the model.
control() {
  [[ -z ${is_sound[${*:2}]:-}${is_sound[$*]:-} ]] || return 0
  search "$@"
  if [[ $found != *'errors: 0'* || $found == *'max search depth too small'* ]]; then
    echo "FAILED: without a mutant: $*: $found" >&2
    failures=$((failures + 1))
  else
    echo "control: $* ($(states) states)"
  fi
  is_sound[$*]=1
}
# finds SEED MUTANT DEFINES...: in a small table, or in a large one. The seeds are
# those with which a small one is enough.
finds() {
  local bits
  for bits in 24 28; do
    search "$1/$bits" "-D$2" "${@:3}"
    if [[ $found == *'assertion violated'* && $found == *'errors: 1'* ]]; then
      echo "found: $2: $(sed -n 's/^pan:1: \(.*\) (at depth.*/\1/p' <<<"$found")"
      control "$1/$bits" "${@:3}"
      return
    fi
  done
  echo "FAILED: the mutant $2 is not found: $found" >&2
  failures=$((failures + 1))
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
finds 3 PIN_LATE -DWRITERS=1 -DREADERS=1 -DPASSES=1 -DCOMMITS0=2
finds 3 PIN_BLINDLY -DWRITERS=1 -DREADERS=1 -DPASSES=1 -DCOMMITS0=2
finds 7 ONE_CELL -DWRITERS=2 -DPASSES=1 -DCOMMITS1=2
finds 7 NO_TAG -DWRITERS=1 -DCOLLECTORS=2 -DPASSES=1 -DCOMMITS0=2
finds 7 ROW_FIRST -DWRITERS=1 -DCOMMITS0=2 -DPASSES=2
finds 3 PINS_FIRST -DWRITERS=1 -DREADERS=1 -DPASSES=1 -DCOMMITS0=2
finds 7 NEXT_RETIRES -DWRITERS=1 -DPASSES=1 -DCOMMITS0=2
finds 3 EARLY_DEATH -DWRITERS=1 -DREADERS=1 -DPASSES=1 -DCOMMITS0=2
finds 7 FOLD_TWICE -DFOLDERS=2 -DWRITERS=1 -DPASSES=1
finds 7 DEAD_IS_FREE -DWRITERS=1 -DMORTAL -DPASSES=2

# Each mutant that the model has is tried.
for mutant in $(sed -n 's/^ \*   \([A-Z_]*\)  .*/\1/p' "$model"); do
  grep -q "^finds [0-9]* $mutant " "$OLDPWD/tests/models/models_test.sh" ||
    { echo "FAILED: $mutant is not tried" >&2; failures=$((failures + 1)); }
done

[[ $failures == 0 ]] || { echo "$failures failures" >&2; exit 1; }
