#!/usr/bin/env bash
# crash_open runs, and opens what it has killed.
set -u
program=$PWD/$1
cd "$(mktemp -d "${TEST_TMPDIR:-/tmp}/crash-open-XXXXXX")" || exit 1
"$program" --megabytes=8 --turns=2 >out || { echo "crash_open failed"; exit 1; }
grep -q '^after kill -9 .*live version' out || { cat out; exit 1; }
grep -q '^in another boot, without cache .*durable version' out ||
  { cat out; exit 1; }
"$program" --nonsense 2>/dev/null
[[ $? == 2 ]] || { echo "no usage error"; exit 1; }
