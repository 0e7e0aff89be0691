#!/usr/bin/env bash
# Goal of this test: whoever types caefs is told what to type next.
# - every command that --help lists answers --help itself, both ways;
# - its manual knows the options that --help knows;
# - a wrong or missing command is a usage error, named on stderr only;
# - output that cannot be written is a failure.
. "$(dirname "$0")/../functions.sh"

"$CAEFS" --help >"$tmp/help"
"$CAEFS" --version | grep -q '^caefs [0-9]' || fail "--version"

for name in $(sed -n 's/^  \([a-z][a-z-]*\)  .*/\1/p' "$tmp/help"); do
    "$CAEFS" "$name" --help >"$tmp/one" || fail "$name --help"
    head -n 1 "$tmp/one" | grep -q "^Usage: caefs $name" ||
        fail "$name --help does not begin with its usage"
    "$CAEFS" help "$name" | cmp - "$tmp/one" || fail "help $name differs"
    fails_with 1 "$CAEFS" "$name" --no-such-option 2>"$tmp/err"
    [ -s "$tmp/err" ] || fail "$name is silent about a wrong option"
    # The manual and --help know the same options.
    page="$abs_top_srcdir/man/caefs-$name.1"
    [ -f "$page" ] || fail "$name has no manual"
    sed 's/\\-/-/g' "$page" >"$tmp/page"
    for option in $(grep -oE '^ +(-[a-z], )?--[a-z-]+' "$tmp/one" | grep -oE -- '--[a-z-]+'); do
        grep -q -- "$option" "$tmp/page" || fail "the manual of $name lacks $option"
    done
done

for wrong in "" no-such-command "help no-such-command"; do
    # shellcheck disable=SC2086 # the words are the arguments
    fails_with 1 "$CAEFS" $wrong >"$tmp/out" 2>"$tmp/err"
    [ ! -s "$tmp/out" ] || fail "'$wrong': an error on stdout"
    grep -q '^caefs: .*--help' "$tmp/err" || fail "'$wrong': no way on"
done

fails_with 4 "$CAEFS" --help >/dev/full 2>"$tmp/err"
grep -q 'No space left' "$tmp/err" || fail "a full disk goes unnoticed"
