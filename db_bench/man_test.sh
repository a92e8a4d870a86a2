#!/bin/bash
# The man page has the flags and the benchmarks of the program, all of them and
# no others, with the same defaults and the same words; they only begin with a
# capital and end with a full stop there. A value that a flag takes is no first
# word: with a capital it would be refused.
#
#   man_test.sh DB_BENCH PAGE
set -u
work=$(mktemp -d "${TEST_TMPDIR:-/tmp}/db_bench_man.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; exit 1; }

# "--num=1000000 entries of the database", "fillseq write all keys ..."
"$1" --help >"$work/help" || exit 1
awk '
  /^Benchmarks:|^Flags:/ { listed = 1; next }
  /^  [^ ]/ { if (line) print line; line = $1; next }
  /^      / { sub(/^ +/, ""); if (listed) line = line " " $0; next }
  END { print line }' "$work/help" | sort >"$work/program"

# The same of the page.
sed -n '/^\.SH BENCHMARKS/,/^\.SH OUTPUT/p' "$2" | sed 's/\\-/-/g' | awk '
  function put() {
    if (name && name != "--help") print name value " " text
    name = value = text = ""
  }
  /^\.TP/ { put(); next }
  /^\.SH/ { put(); next }
  /^\.BI? / && !name { name = $2; next }
  /^\.BR / { value = "=" $2; next }
  /^The default is$/ { next }
  {
    if (name ~ /^--/ && name != "--help") {
      if (!sub(/\.$/, "")) print "no full stop: " $0
      # Names begin so anyhow.
      if ($1 !~ /^Eve/) $0 = tolower(substr($0, 1, 1)) substr($0, 2)
    }
    text = $0
  }' | sort >"$work/page"

[ "$(wc -l <"$work/program")" -gt 50 ] || fail 'no help'
diff "$work/program" "$work/page" ||
  fail '< is in the program only, > in the man page only'
values='none|checkpoint|sync|snappy|fixed|uniform|normal|zipf|latest|ordered|map'
grep -E "^--[a-z_]+(=[^ ]*)? ($values)\b" "$work/program" &&
  fail 'it begins with a value'
for name in reads writes num seek_nexts batch_size duration; do
  sed -n '/^\.SH DIFFERENCES/,/^\.SH EXIT/p' "$2" | sed 's/\\-/-/g' |
    grep -q -- "--$name" || fail "no difference in --$name is told"
done
echo PASSED
