#!/usr/bin/env bash
# Goal of this test: the shell knows what the program knows.
# - commands, options, the values of options, properties and mount options are completed;
# - where none of them is meant, names of files are;
# - the file for zsh is one that zsh takes, where there is one.
. "$(dirname "$0")/../functions.sh"

PATH=$(dirname "$CAEFS"):$PATH
. "$abs_top_srcdir/completions/caefs.bash"

# completes WORD... CURRENT = EXPECTED...: all of EXPECTED are offered; EXPECTED "-" is none.
completes() {
    COMP_WORDS=(caefs)
    while [ "$1" != = ]; do
        COMP_WORDS+=("$1")
        shift
    done
    shift
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _caefs || true
    local expected
    for expected in "$@"; do
        if [ "$expected" = - ]; then
            [ ${#COMPREPLY[@]} -eq 0 ] || fail "${COMP_WORDS[*]}: offers ${COMPREPLY[*]}"
        else
            printf '%s\n' "${COMPREPLY[@]}" | grep -qxF -e "$expected" ||
                fail "${COMP_WORDS[*]}: offers '${COMPREPLY[*]}' and not $expected"
        fi
    done
}
completes "" = mkfs mount train help --version
completes mo = mount model
completes help um = umount
completes stat --j = --json
completes mount "" = -
completes mount --fore = --foreground
completes mount -o "" = ro drain cache= log= metrics=
completes mount -o ro,ca = ro,cache=
completes encode --progress a = auto always
completes set bo = bound=
completes set bound=rel:1e-3 ./a = -
completes get "" = all bound effort
completes stat ./a = -
# Every command has its options.
for name in $("$CAEFS" --help | sed -n 's/^  \([a-z][a-z-]*\)  .*/\1/p'); do
    completes "$name" --h = --help
done

if command -v zsh >/dev/null; then
    zsh -n "$abs_top_srcdir/completions/_caefs" || fail "zsh does not take its file"
else
    say "NOT TESTED: zsh (it is not installed)"
fi
