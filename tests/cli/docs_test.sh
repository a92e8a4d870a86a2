#!/usr/bin/env bash
# The manual page, docs/cli.md and the completions say what `eve help` says.
set -u
source tests/cli/testing.sh || exit 1
eve=$PWD/$1
man=$PWD/$2
guide=$PWD/$3
work=$(mktemp -d "${TEST_TMPDIR:-/tmp}/eve-docs-XXXXXX") || exit 1
cd "$work" || exit 1
mkdir bin
ln -s "$eve" bin/eve
PATH=$work/bin:$PATH

mapfile -t verbs < <(eve help | sed -n 's/^  \([a-z]*\) .*/\1/p')
[[ ${#verbs[@]} -ge 16 && ${verbs[*]} == *dump*load*help\ version ]] ||
  fail "verbs: ${verbs[*]}"
for verb in "${verbs[@]}"; do
  eve help "$verb" >help."$verb" 2>stderr && [[ ! -s stderr ]] ||
    fail "help $verb: $(<stderr)"
done
options=$(cat help.* | sed -n 's/^  \(-[-a-zA-Z]*\).*/\1/p' | sort -u)
[[ $(wc -l <<<"$options") -ge 25 ]] || fail "options: $options"

# The manual page: the same verbs in the same order, each with its arguments, its
# options and what is said of these.
sed 's/\\-/-/g; s/\\f[BIR]//g; s/\\(aq/'\''/g; s/\\e/\\/g' "$man" >page
[[ $(sed -n 's/^\.SS "\([a-z]*\)[ "].*/\1/p' page | tr '\n' ' ') == \
  "${verbs[*]} " ]] || fail "the manual page has other verbs"
for verb in "${verbs[@]}"; do
  diff <(sed -n "s/^usage: eve \($verb .*\)/\1/p" help."$verb" |
    sed 's/ \[OPTION...\]//'
    sed -n 's/^  \(-[^ ]*\( [A-Z][A-Z]*\)\?\)  *\(.*\)/\1 \3/p' help."$verb") \
    <(awk -v verb="$verb" '
        /^\.S[SH]/ { gsub(/^\.S[SH] |"/, ""); mine = $1 == verb
                     if (mine) print; next }
        mine && option != "" { print option, $0; option = "" }
        mine && before == ".TP" { option = $0 }
        { before = $0 }' page) >differences ||
    fail "the manual page on $verb: $(<differences)"
done
if command -v groff >found; then
  groff -man -ww -z "$man" 2>warnings
  [[ ! -s warnings ]] || fail "groff: $(<warnings)"
  groff -man -Tascii "$man" | grep -q 'mdb_dump -a .* | eve load' ||
    fail "groff prints no example"
else
  echo "skipped: groff is not here" >&2
fi

# The guide.
for verb in "${verbs[@]}"; do
  grep -q "^| \`eve $verb[ \`]" "$guide" || fail "docs/cli.md lacks $verb"
done
for option in $(grep -o '`\(-[-a-zA-Z]*\)' "$guide" | tr -d '`' | sort -u); do
  [[ $option == - ]] || grep -qx -e "$option" <<<"$options" ||
    fail "docs/cli.md invents $option"
done

# Completions: every verb and option, in the form of each shell. Not in files
# of a shell's name: `command -v` takes those for the shell where it is missing
# and the search path has this folder.
for shell in bash zsh fish; do
  file=completion.$shell
  eve completion $shell >$file || fail "completion $shell"
  for word in "${verbs[@]}"; do
    grep -qw -- "$word" $file || fail "$shell does not know $word"
  done
  for option in $options; do
    word=$option
    [[ $shell == fish ]] && word=$(sed 's/^--/-l /; s/^-\([^l]\)$/-s \1/' <<<"$word")
    [[ $option == -l && $shell == fish ]] && word='-s l'
    grep -qF -e "$word" $file || fail "$shell does not know $option"
  done
  if command -v $shell >found; then
    $shell -n $file 2>syntax || fail "$shell: $(<syntax)"
  fi
done
eve completion nonsense >out 2>stderr
[[ $? == 2 && ! -s out ]] || fail "completion for no shell"
# What bash offers. A name of a collection is never run.
printf 'a\n1\n' | eve load -q -T shop.eve apples
printf 'a\n1\n' | eve load -q -T shop.eve '$(touch hacked)'
printf 'a\n1\n' | eve load -q -T shop.eve 'two words'
source ./completion.bash
offers() {
  local want=$1
  shift
  COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
  _eve
  local found
  found=$(printf '%s\n' "${COMPREPLY[@]}" | LC_ALL=C sort | paste -sd ' ')
  [[ $found == "$want" ]] ||
    fail "bash offers '$found' for '$*', not '$want'"
}
offers 'del dump' eve d
offers '--format' eve dump --f
offers '--from' eve scan shop.eve apples --f
offers 'apples' eve scan shop.eve a
offers 'two words' eve get shop.eve tw
offers '$(touch hacked) apples two words' eve dump shop.eve ''
offers 'apples' eve dump shop.eve 'two words' ap
offers 'shop.eve shop.eve-lock' eve load -f sho
offers 'shop.eve shop.eve-lock' eve stat sho
offers '' eve scan --limit ''
offers 'zsh' eve completion z
offers 'compact completion' eve help comp
offers '' eve help compact ''
offers '' eve version ''
offers '--json' eve version --
[[ ! -e hacked ]] || fail "completion runs what a name says"

[[ $failures == 0 ]] || { echo "$failures failures" >&2; exit 1; }
