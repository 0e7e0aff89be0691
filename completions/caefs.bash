# Completion of caefs for bash.  It asks the program itself (--help), so it knows what the
# installed version knows.

# _caefs_help [COMMAND]
_caefs_help() { "${COMP_WORDS[0]}" ${1:+"$1"} --help 2>/dev/null; }

_caefs_commands() { _caefs_help | sed -n 's/^  \([a-z][a-z-]*\)  .*/\1/p'; }

# Options of a command: "  -f, --foreground ..." and "  --json ...".
_caefs_options() { _caefs_help "$1" | grep -oE '^ +(-[a-z], )?--[a-z-]+' | grep -oE -- '--[a-z-]+'; }

# _caefs_choices COMMAND OPTION: a and b of "  --option a|b".
_caefs_choices() {
    _caefs_help "$1" | sed -nE "s/^ +(-[a-z], )?$2 ([a-z]+(\|[a-zA-Z]+)+).*/\2/p" |
        tr '|' '\n' | grep -v '[A-Z]'
}

# Properties: "  bound=B ..." of set.  Mount options: "      ro ..." of mount.
_caefs_properties() { _caefs_help set | sed -nE 's/^  ([a-z]+=).*/\1/p'; }
_caefs_mount_options() { _caefs_help mount | sed -nE 's/^      ([a-z_]+=?).*/\1/p' | grep -vx others; }

_caefs() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local command='' words='' i before
    for ((i = 1; i < COMP_CWORD; i++)); do
        if [[ ${COMP_WORDS[i]} != -* ]]; then
            command=${COMP_WORDS[i]}
            break
        fi
    done
    COMPREPLY=()
    if [[ -z $command ]]; then
        words="$(_caefs_commands) help --help --version"
    elif [[ $command = help ]]; then
        words=$(_caefs_commands)
    elif [[ $command = mount && $previous = -o ]]; then
        # The last of a list with commas.
        before=''
        [[ $current = *,* ]] && before=${current%,*},
        mapfile -t COMPREPLY < <(compgen -P "$before" -W "$(_caefs_mount_options)" -- "${current##*,}")
        compopt -o nospace 2>/dev/null
        return
    elif [[ $current = -* ]]; then
        words=$(_caefs_options "$command")
    elif [[ $previous = --* ]]; then
        words=$(_caefs_choices "$command" "$previous")
    elif [[ $command = set && $current != */* && $previous != '=' ]]; then
        words=$(_caefs_properties)
        compopt -o nospace 2>/dev/null
    elif [[ $command = get || $command = inherit ]] && [[ $previous = "$command" ]]; then
        words="all $(_caefs_properties | tr -d '=')"
    fi
    [[ -n $words ]] && mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    # Nothing of ours: names of files, by "-o default".
}
complete -o default -F _caefs caefs
