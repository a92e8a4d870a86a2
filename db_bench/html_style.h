// How the page of html_report.h looks. Colours are for light and for dark; all
// text has a contrast of at least 4.5 to what is behind it, bars of at least 3.
//
// Threads:    constants.
// Processes:  none.
// Owns:       none.
// Lifetime:   none.
// Errors:     none.
// Cost:       none.
#ifndef EVE_DB_BENCH_HTML_STYLE_H_
#define EVE_DB_BENCH_HTML_STYLE_H_

namespace eve::bench {

inline constexpr char kHtmlStyle[] = R"css(
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --line: #dfe3e8; --track: #eef1f4;
  --text: #1b2129; --soft: #5a6573; --warn: #8a1c1c; --warn-back: #fdecec;
  --link: #1a54b8;
  --c0: #1f5fd1; --c1: #b4540a; --c2: #6f4bb8; --c3: #14776b; --c4: #a8326e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12161b; --card: #1b2128; --line: #333c47; --track: #262e37;
    --text: #e8ecf1; --soft: #a3afbd; --warn: #ffb4ab; --warn-back: #40191a;
    --link: #8fbcff;
    --c0: #6ea8ff; --c1: #f0a05a; --c2: #b9a0f2; --c3: #5cc9b8; --c4: #f08bbd;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans",
    sans-serif;
}
main { max-width: 1120px; margin: 0 auto; padding: 28px 20px 48px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 4px; }
h2 { font-size: 18px; line-height: 1.3; margin: 0; }
h3 {
  font-size: 12px; font-weight: 600; color: var(--soft); margin: 0 0 8px;
}
p { margin: 0; }
.soft { color: var(--soft); }
.card {
  background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 18px 20px; margin: 16px 0;
}
.warn {
  background: var(--warn-back); color: var(--warn); border-radius: 8px;
  padding: 10px 14px; margin: 12px 0; font-weight: 600;
}
a { color: var(--link); }
.parts {
  display: grid; grid-template-columns: minmax(0, 1fr); gap: 20px;
  margin-top: 14px;
}
.all { grid-column: 1 / -1; min-width: 0; }
.rows {
  display: grid; grid-template-columns: auto minmax(0, 1fr) auto;
  gap: 8px 12px; align-items: center;
}
.row { display: contents; }
.row .name { font-weight: 600; }
.row .value { font-variant-numeric: tabular-nums; text-align: right; }
.track {
  background: var(--track); border-radius: 4px; height: 16px;
  position: relative;
}
.bar, .span { position: absolute; top: 0; bottom: 0; background: var(--c); }
.bar { left: 0; min-width: 2px; border-radius: 4px; }
.span { top: 5px; bottom: 5px; min-width: 2px; border-radius: 3px; }
.tick {
  position: absolute; top: 1px; bottom: 1px; width: 3px; margin-left: -1.5px;
  background: var(--c); border-radius: 1px;
}
.line {
  position: absolute; top: -4px; bottom: -4px; width: 1px;
  background: var(--line);
}
.e0 { --c: var(--c0); } .e1 { --c: var(--c1); } .e2 { --c: var(--c2); }
.e3 { --c: var(--c3); } .e4 { --c: var(--c4); }
.wide { overflow-x: auto; }
table {
  border-collapse: collapse; width: 100%; font-size: 13.5px;
  font-variant-numeric: tabular-nums;
}
th, td {
  padding: 4px 8px; text-align: right; white-space: nowrap;
  border-top: 1px solid var(--line);
}
thead th { color: var(--soft); font-weight: 600; border-top: 0; }
th:first-child, td:first-child {
  text-align: left; padding-left: 0; position: sticky; left: 0;
  background: var(--card);
}
td:last-child, th:last-child { padding-right: 0; }
tbody th { font-weight: 600; }
.best { font-weight: 700; }
.key {
  display: inline-block; width: 10px; height: 10px; border-radius: 3px;
  background: var(--c); margin-right: 7px;
}
.axis { position: relative; height: 18px; font-size: 12px;
  color: var(--soft); }
.axis span {
  position: absolute; transform: translateX(-50%); white-space: nowrap;
}
.axis span:first-child { transform: none; }
.axis span:last-child { transform: translateX(-100%); }
ul.figures {
  margin: 0; padding: 0; list-style: none; font-size: 13.5px;
  columns: 260px auto; column-gap: 28px; overflow-wrap: anywhere;
}
details { margin-top: 10px; }
summary { cursor: pointer; color: var(--soft); }
dl { display: grid; grid-template-columns: 9em minmax(0, 1fr); margin: 0;
  gap: 4px 14px; font-size: 14px; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
pre {
  margin: 0; padding: 12px 14px; background: var(--track); border-radius: 8px;
  font: 13px/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  white-space: pre-wrap; overflow-wrap: anywhere;
}
@media (min-width: 860px) {
  .parts { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr);
    gap: 18px 40px; }
  .parts.one { grid-template-columns: minmax(0, 1fr); }
}
@media (max-width: 520px) {
  main { padding: 20px 12px 32px; }
  .card { padding: 14px 14px; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: 8px; }
}
)css";

}  // namespace eve::bench

#endif  // EVE_DB_BENCH_HTML_STYLE_H_
