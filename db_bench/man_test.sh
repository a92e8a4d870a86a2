#!/bin/bash
# The man page names the flags and the benchmarks that the program has, all of
# them and no others.
#
#   man_test.sh DB_BENCH PAGE
set -u
work=$(mktemp -d "${TEST_TMPDIR:-/tmp}/db_bench_man.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
"$1" --help >"$work/help" || exit 1
{
  sed -nE 's/^  --([a-z_]+).*/flag \1/p' "$work/help"
  sed -nE 's/^  ([a-zA-Z0-9]+)$/benchmark \1/p' "$work/help"
} | sort >"$work/program"
{
  sed -nE 's/^\.BI \\-\\-([a-z_]+) .*/flag \1/p' "$2"
  sed -n '/^\.SH BENCHMARKS/,/^\.SH OPTIONS/p' "$2" |
    sed -nE 's/^\.B ([a-zA-Z0-9]+)$/benchmark \1/p'
} | sort >"$work/page"
[ "$(wc -l <"$work/program")" -gt 50 ] || { echo 'FAILED: no help'; exit 1; }
diff "$work/program" "$work/page" || {
  echo 'FAILED: < is in the program only, > in the man page only'
  exit 1
}
echo PASSED
