#!/usr/bin/env bash
# The storm finds a single worker that hangs: a reader whose waits now and then
# do not end, while all others commit and die at random.
set -u
out=${TEST_TMPDIR:-/tmp}/storm_hang
"$1" --seconds=600 --seed=1 --patience=1 --hangs=1 >"$out" 2>&1
code=$?
[[ $code == 1 ]] && grep -q '^one has not moved on for 1 s' "$out" && exit 0
echo "FAILED: the storm ended with $code:" >&2
tail "$out" >&2
exit 1
