#!/usr/bin/env bash
# What `./dev install` lays down can be built against with pkg-config and with
# find_package, wherever the tree has been moved to; the programs run.
set -u
source tests/cli/testing.sh || exit 1
package=$PWD/$1
source=$PWD/$2
work=$(mktemp -d "${TEST_TMPDIR:-/tmp}/eve-install-XXXXXX")
cd "$work" || exit 1
# A name that nothing was configured with, and that has a blank.
tree="$work/moved here"
mkdir "$tree"
tar -C "$tree" -xf "$package" || fail "the package"

# quickstart PROGRAM: does what the README says.
quickstart() {
  rm -f shop.eve*
  runs 0 "$1" shop.eve
  [[ $(sort out) == $'apple 10\npear 7' ]] || fail "$1: $(<out)"
}

# pkg-config; nothing may come from a checkout.
export PKG_CONFIG_PATH="$tree/lib/pkgconfig"
version=$(pkg-config --modversion evedb)
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || fail "modversion: $version"
eval "flags=($(pkg-config --cflags --libs evedb))"
runs 0 g++ -std=c++20 -Wall -Wextra -Werror -o by_pkg_config "$source" \
  "${flags[@]}"
quickstart ./by_pkg_config
for header in "$tree"/include/eve/*.h; do
  echo "#include \"eve/${header##*/}\"" >one.cc
  runs 0 g++ -std=c++20 -fsyntax-only one.cc "${flags[@]}"
done
eval "static=($(pkg-config --static --cflags --libs evedb))"
runs 0 g++ -std=c++20 -o by_pkg_config_static "$source" "${static[@]}"

# CMake. The language standard comes from the target.
# project FOLDER VERSION: one that asks for that version of EveDB.
project() {
  mkdir -p "$1"
  cp "$source" "$1/quickstart.cc"
  cat >"$1/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.16)
project(shop CXX)
find_package(EveDB $2 CONFIG REQUIRED)
find_package(EveDB CONFIG REQUIRED)  # twice is fine
add_executable(shop quickstart.cc)
target_link_libraries(shop PRIVATE EveDB::eve)
END
}
configure() { cmake -S "$1" -B "$1/build" -DCMAKE_PREFIX_PATH="$tree"; }
minor=${version%.*}
project good "$minor"
runs 0 configure good
runs 0 cmake --build good/build
quickstart good/build/shop
for wanted in "$version" "$version EXACT"; do
  project again "$wanted"
  runs 0 configure again
  rm -r again
done
for wanted in "${minor%.*}.$((${minor#*.} + 1))" "$((${minor%.*} + 1))" \
  "$minor.99"; do
  project bad "$wanted"
  runs 1 configure bad
  grep -q "$wanted" stderr || fail "find_package $wanted: $(<stderr)"
  rm -r bad
done

# The programs, and what comes with them.
runs 0 "$tree/bin/eve" version
grep -q "^eve $version " out || fail "eve version: $(<out)"
runs 0 "$tree/bin/db_bench" --benchmarks=fillseq --num=1000 --engines=eve \
  --db="$work/bench"
grep -Eq "^Eve: +version $version$" out || fail "db_bench: $(<out)"
for page in eve db_bench; do
  [[ -s $tree/share/man/man1/$page.1 ]] || fail "no manual page of $page"
done
runs 0 bash -n "$tree/share/bash-completion/completions/eve"
for file in zsh/site-functions/_eve fish/vendor_completions.d/eve.fish; do
  [[ -s $tree/share/$file ]] || fail "no $file"
done

[[ $failures == 0 ]] || { echo "$failures failures" >&2; exit 1; }
