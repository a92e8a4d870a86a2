#!/usr/bin/env bash
# package.sh OUTPUT FILE...: packs everything that `./dev install` installs into
# the archive OUTPUT, out of the files, whose roles their paths tell.
set -euo pipefail
output=$PWD/$1
shift
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

for file in "$@"; do
  case $file in
    */libevedb.a) install -Dm 644 "$file" "$tree/lib/libevedb.a" ;;
    */eve | */db_bench) install -Dm 755 "$file" "$tree/bin/${file##*/}" ;;
    include/*.h) install -Dm 644 "$file" "$tree/$file" ;;
    *.1) install -Dm 644 "$file" "$tree/share/man/man1/${file##*/}" ;;
    *.in) templates+=("$file") ;;
    *) echo "package.sh: what is $file?" >&2; exit 1 ;;
  esac
done

defined() {
  sed -n "s/^#define $1 \"\?\([0-9.]*\)\"\?$/\1/p" include/eve/version.h
}
# The parts of Abseil that headers or sources of Eve include; each one's own
# needs are in its package.
parts=(
  absl_cleanup absl_flat_hash_map absl_flat_hash_set absl_function_ref
  absl_inlined_vector absl_span absl_status absl_statusor absl_str_format
  absl_strings absl_time
)
targets=$(printf 'absl::%s;' "${parts[@]#absl_}")
for template in "${templates[@]}"; do
  name=${template##*/}
  name=${name%.in}
  case $name in
    *.pc) folder=lib/pkgconfig ;;
    *.cmake) folder=lib/cmake/EveDB ;;
  esac
  mkdir -p "$tree/$folder"
  sed -e "s/@VERSION@/$(defined EVE_VERSION)/g" \
    -e "s/@VERSION_MAJOR@/$(defined EVE_VERSION_MAJOR)/g" \
    -e "s/@VERSION_MINOR@/$(defined EVE_VERSION_MINOR)/g" \
    -e "s/@ABSL_MODULES@/${parts[*]}/g" \
    -e "s/@ABSL_TARGETS@/${targets%;}/g" "$template" >"$tree/$folder/$name"
done

completion() {
  mkdir -p "$tree/share/${2%/*}"
  "$tree/bin/eve" completion "$1" >"$tree/share/$2"
}
completion bash bash-completion/completions/eve
completion zsh zsh/site-functions/_eve
completion fish fish/vendor_completions.d/eve.fish

# The same bytes from the same files.
tar -C "$tree" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 \
  -cf "$output" bin include lib share
