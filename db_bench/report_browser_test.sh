#!/bin/bash
# The page of --report in a browser: a bar and a number for each benchmark and
# engine, nothing from outside, and no wider than a telephone.
#
#   report_browser_test.sh DB_BENCH
set -u
browser=$(command -v chromium || command -v chromium-headless-shell) || {
  echo 'SKIPPED: there is no chromium'
  exit 0
}
work=$(mktemp -d "${TEST_TMPDIR:-/tmp}/db_bench_page.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }

"$1" --engines=eve --num=2000 --db="$work/db" --report="$work/page.html" \
  --benchmarks=fillseq,readrandom,updaterandom >"$work/out" || fail 'db_bench'
# Links lead to the page itself; nothing else names a place.
grep -Eqi '(src=|url\(|@import|https?:|<script)' "$work/page.html" &&
  fail 'it loads something'
grep -Eo 'href="[^"]*"' "$work/page.html" | grep -qv 'href="#' &&
  fail 'a link leads away'
# The page has no scripts: one around it measures it.
cat >"$work/frame.html" <<'H'
<iframe src="page.html" style="width:400px;height:2000px;border:0"></iframe>
<p id="found"></p>
<script>
onload = () => {
  const page = document.querySelector('iframe').contentDocument;
  const rows = [...page.querySelectorAll('[data-engine]')].map(row =>
    row.dataset.workload + ' ' +
    (row.querySelector('.bar').getBoundingClientRect().width > 1) + ' ' +
    /^[0-9,.]+$/.test(row.querySelector('.value').textContent));
  document.querySelector('#found').textContent = 'width ' +
    page.documentElement.scrollWidth + '; ' + rows.join('; ') + '; percentiles '
    + page.querySelectorAll('[data-percentiles]').length + ';';
};
</script>
H
HOME=$work "$browser" --headless --no-sandbox --disable-gpu \
  --allow-file-access-from-files --user-data-dir="$work/profile" --dump-dom \
  "file://$work/frame.html" >"$work/dom" 2>"$work/err" || fail 'the browser'
grep -o 'width [0-9].*;' "$work/dom" | grep -v page >"$work/found"
cat "$work/found"
width=$(sed -nE 's,^width ([0-9]+);.*,\1,p' "$work/found")
[ "${width:-9999}" -le 400 ] || fail 'it is wider than 400 pixels'
for name in fillseq readrandom updaterandom; do
  grep -q "; $name true true;" "$work/found" || fail "no bar for $name"
done
grep -q 'percentiles 3;' "$work/found" || fail 'rows of percentiles'
echo PASSED
