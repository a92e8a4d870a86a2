#!/bin/bash
# The page of --report in a browser: a bar and a number for each benchmark and
# engine, nothing from outside, no wider than a telephone, and legible in light
# and in dark.
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

"$1" --num=2000 --db="$work/db" --report="$work/page.html" \
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
// What WCAG 2 calls relative luminance and contrast.
const luminance = colour => {
  const [r, g, b] = colour.match(/[0-9.]+/g).slice(0, 3).map(v => v / 255).map(
      v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = element => {
  for (; element; element = element.parentElement) {
    const colour = getComputedStyle(element).backgroundColor;
    if (colour !== 'rgba(0, 0, 0, 0)') return luminance(colour);
  }
};
const contrast = (colour, back) => {
  const front = luminance(colour);
  return (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
};
onload = () => {
  const page = document.querySelector('iframe').contentDocument;
  const rows = [...page.querySelectorAll('[data-engine]')].map(row =>
    row.dataset.workload + ' ' +
    (row.querySelector('.bar').getBoundingClientRect().width > 1) + ' ' +
    /^[0-9,.]+$/.test(row.querySelector('.value').textContent));
  const texts = [...page.body.querySelectorAll('*')].filter(element =>
    [...element.childNodes].some(n => n.nodeType === 3 && n.data.trim()));
  const text = Math.min(...texts.map(element =>
    contrast(getComputedStyle(element).color, behind(element))));
  const bar = Math.min(...[...page.querySelectorAll('.bar')].map(element =>
    contrast(getComputedStyle(element).backgroundColor,
             behind(element.parentElement))));
  document.querySelector('#found').textContent = 'width ' +
    page.documentElement.scrollWidth + '; ' + rows.join('; ') + '; percentiles '
    + page.querySelectorAll('[data-percentiles]').length + '; texts ' +
    texts.length + ' page ' + Math.round(100 * behind(page.body)) + ' text ' +
    Math.floor(10 * text) + ' bar ' + Math.floor(10 * bar) + ';';
};
</script>
H
# show SCHEME: what the browser finds, with 0 for dark and 1 for light.
show() {
  HOME=$work "$browser" --headless --no-sandbox --disable-gpu \
    --allow-file-access-from-files --user-data-dir="$work/profile" \
    --blink-settings=preferredColorScheme="$1" --dump-dom \
    "file://$work/frame.html" >"$work/dom" 2>"$work/err" || fail 'the browser'
  grep -o 'width [0-9].*;' "$work/dom" | grep -v 'page\.' >"$work/found"
  cat "$work/found"
  width=$(sed -nE 's,^width ([0-9]+);.*,\1,p' "$work/found")
  [ "${width:-9999}" -le 400 ] || fail 'it is wider than 400 pixels'
  for name in fillseq readrandom updaterandom; do
    grep -q "; $name true true;" "$work/found" || fail "no bar for $name"
  done
  rows=$(grep -o ' true true;' "$work/found" | wc -l)
  grep -q " percentiles $rows;" "$work/found" || fail 'rows of percentiles'
  read -r texts page text bar < <(sed -nE \
    's,.* texts ([0-9]+) page ([0-9]+) text ([0-9]+) bar ([0-9]+);,\1 \2 \3 \4,p' \
    "$work/found")
  [ "${texts:-0}" -gt 20 ] || fail 'there is hardly any text'
  # Tenths; what html_style.h promises.
  [ "$text" -ge 45 ] || fail "text has a contrast of $text tenths"
  [ "$bar" -ge 30 ] || fail "a bar has a contrast of $bar tenths"
}
show 0
[ "$page" -le 20 ] || fail 'dark is not dark'
show 1
[ "$page" -ge 80 ] || fail 'light is not light'
echo PASSED
