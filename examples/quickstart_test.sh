#!/usr/bin/env bash
# The quickstart does what it says, and is the program that the README shows.
set -euo pipefail
domain="$TEST_TMPDIR/shop.eve"
first=$("$1" "$domain" | sort)
[ "$first" = $'apple 10\npear 7' ] || { echo "first run: $first"; exit 1; }
second=$("$1" "$domain" | sort)
[ "$second" = $'apple 20\npear 7' ] || { echo "second run: $second"; exit 1; }
# Between the first ```cpp and the next ``` of the README.
shown=$(awk '/^```cpp$/ {on=1; next} /^```$/ {if (on) exit} on' README.md)
[ "$shown" = "$(cat examples/quickstart.cc)" ] ||
  { echo "README.md shows another program"; exit 1; }
echo PASS
