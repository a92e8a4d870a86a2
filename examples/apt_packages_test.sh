#!/usr/bin/env bash
# Real input: the packages that this machine knows. Without apt lists, stanzas
# of the same shape stand in, so that the program is run in any case.
set -euo pipefail
input="$TEST_TMPDIR/dumpavail"
(apt-cache dumpavail 2>/dev/null || true) > "$input"
if [ "$(grep -c '^Package: ' "$input" || true)" -lt 100 ]; then
  for i in $(seq 1 500); do
    printf 'Package: made-up-%d\nVersion: 1.%d\nDescription: %*s\n\n' \
      "$i" "$i" "$((i * 7))" x
  done > "$input"
fi
expected=$(grep '^Package: ' "$input" | sort -u | wc -l)
output=$("$1" "$TEST_TMPDIR/packages.eve" < "$input")
echo "$output"
[ "$output" = "$expected packages, the same in 4 processes" ]
