#!/usr/bin/env bash
# Flushes that do nothing: cuts must say that a promise was broken.
set -uo pipefail
out=$(env -u XML_OUTPUT_FILE "$1" --cuts=200 --seed=1 --lie=1 2>&1)
status=$?
echo "$out"
if [[ $status -eq 77 ]]; then
  # Seen as skipped, not as passed.
  cat >"${XML_OUTPUT_FILE:-/dev/null}" <<'END'
<testsuites>
<testsuite name="lying_flushes" tests="1" failures="0" errors="0" skipped="1">
<testcase name="lying_flushes"><skipped/></testcase>
</testsuite>
</testsuites>
END
  exit 0
fi
[[ $status -eq 1 && $out == *"cuts: seed 1"*FAILED* ]]
