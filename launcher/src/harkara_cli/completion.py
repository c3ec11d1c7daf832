"""What a shell is told to complete our command line: scripts in the place of Typer's own.

Typer's scripts for zsh and fish ask whatever `harkara` is on the `PATH`; who has a clone types
`./harkara`, and there is none. These ask the command that stands on the line, however it is spelled.
"""

from pathlib import Path

from typer import _completion_shared

_BASH = """\
%(complete_func)s() {
    local IFS=$'\\n'
    COMPREPLY=( $( env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD \\
                   %(autocomplete_var)s=complete_bash "${1/#\\~\\//$HOME/}" ) )
}

complete -o default -F %(complete_func)s %(prog_name)s
"""

# The file is a function to zsh, which reads it at the first Tab: that one is answered, too.
_ZSH = """\
#compdef %(prog_name)s

%(complete_func)s() {
  eval $(env _TYPER_COMPLETE_ARGS="${words[1,$CURRENT]}" %(autocomplete_var)s=complete_zsh ${~words[1]})
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  %(complete_func)s "$@"
else
  compdef %(complete_func)s %(prog_name)s
fi
"""

_FISH = """\
function %(complete_func)s --argument-names action
    set --local command (string replace --regex '^~/' $HOME/ (commandline -opc)[1])
    env %(autocomplete_var)s=complete_fish _TYPER_COMPLETE_FISH_ACTION=$action \\
        _TYPER_COMPLETE_ARGS=(commandline -cp) $command
end

complete --command %(prog_name)s --no-files --condition "%(complete_func)s is-args" \\
    --arguments "(%(complete_func)s get-args)"
"""


def use_own_scripts() -> None:
    """Make `--show-completion` and `--install-completion` give ours; Typer has no public way to say it."""
    _completion_shared._completion_scripts.update(bash=_BASH, zsh=_ZSH, fish=_FISH)  # noqa: SLF001
    _completion_shared.install_fish = _install_fish


def _install_fish(*, prog_name: str, complete_var: str, shell: str) -> Path:
    # Its folder of completions is looked into only for commands on the PATH; this one is read at each start.
    script = _completion_shared.get_completion_script(
        prog_name=prog_name, complete_var=complete_var, shell=shell
    )
    path = Path.home() / ".config" / "fish" / "conf.d" / f"{prog_name}.fish"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{script}\n", encoding="utf-8")
    return path
