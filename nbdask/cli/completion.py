"""``nbdask completion``: scripts by which shells complete commands, options and flags."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click

from nbdask.cli.catalogue import Word, arguments, commands, flags, options
from nbdask.cli.groups import GroupedCommand

_EPILOG = """\b
bash: nbdask completion bash > ~/.local/share/bash-completion/completions/nbdask
zsh:  nbdask completion zsh > FOLDER/_nbdask, with FOLDER in fpath before compinit
fish: nbdask completion fish > ~/.config/fish/completions/nbdask.fish"""
_BASH = """\
_nbdask() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} words=""
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    words="{names}"
    [ "${{cur:0:1}}" = "-" ] && words="--help --version"
  else
    case "${{COMP_WORDS[1]}} $prev" in
{values}
    esac
    if [ -z "$words" ] && [ "${{cur:0:1}}" = "-" ]; then
      case "${{COMP_WORDS[1]}}" in
{words}
      esac
    fi
  fi
  [ -n "$words" ] && COMPREPLY=($(compgen -W "$words" -- "$cur"))
  return 0
}}
complete -o default -F _nbdask nbdask
"""
_ZSH = """\
#compdef nbdask
_nbdask() {{
  local -a found
  if (( CURRENT == 2 )); then
    found=({names})
    [[ "${{words[CURRENT]}}" == -* ]] && found=(--help --version)
    compadd -- "${{found[@]}}"
    return
  fi
  case "${{words[2]}} ${{words[CURRENT-1]}}" in
{values}
  esac
  if (( ! ${{#found}} )) && [[ "${{words[CURRENT]}}" == -* ]]; then
    case "${{words[2]}}" in
{words}
    esac
  fi
  if (( ${{#found}} )); then compadd -- "${{found[@]}}"; else _files; fi
}}
# Loaded by the first completion, this file also has to make it.
if [[ "${{funcstack[1]}}" == _nbdask ]]; then
  _nbdask "$@"
elif (( $+functions[compdef] )); then
  compdef _nbdask nbdask
fi
"""


@click.command(name="completion", cls=GroupedCommand, epilog=_EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print a script by which SHELL completes commands, options and nanoBragg flags."""
    from nbdask.cli.main import SUBCOMMANDS

    made: dict[str, Callable[[dict[str, str]], str]] = {
        "bash": lambda about: _cases(about, _BASH, 'words="{}"'),
        "zsh": lambda about: _cases(about, _ZSH, "found=({})"),
        "fish": _fish,
    }
    click.echo(made[shell](SUBCOMMANDS), nl=False)


def _cases(about: dict[str, str], script: str, assign: str) -> str:
    """Return a script that chooses by command, and by the word before where it has values."""
    words, values = [], []
    for name, _, known in commands(about):
        own = options(known)
        if among := arguments(known):
            values.append(f'      "{name} {name}") {assign.format(" ".join(among))} ;;')
        words.append(f"        {name}) {assign.format(_listed([*own, *flags(known)]))} ;;")
        for word in own:
            if word.values:
                either = "|".join(f'"{name} {spelling}"' for spelling in word.names)
                values.append(f"      {either}) {assign.format(' '.join(word.values))} ;;")
    return script.format(names=" ".join(about), words="\n".join(words), values="\n".join(values))


def _listed(words: Iterable[Word]) -> str:
    return " ".join(spelling for word in words for spelling in word.names)


def _fish(about: dict[str, str]) -> str:
    """Return a script of one line for each command, option and flag."""
    lines = [
        "complete -c nbdask -n __fish_use_subcommand -l help -d 'Show the help'",
        "complete -c nbdask -n __fish_use_subcommand -l version -d 'Show the version'",
    ]
    for name, text, known in commands(about):
        lines.append(f"complete -c nbdask -n __fish_use_subcommand -f -a {name} -d {_quoted(text)}")
        when = f"complete -c nbdask -n '__fish_seen_subcommand_from {name}'"
        if among := arguments(known):
            lines.append(f"{when} -f -a {_quoted(' '.join(among))}")
        for word in (*options(known), *flags(known)):
            spelt = " ".join(map(_fish_name, word.names))
            values = f" -x -a {_quoted(' '.join(word.values))}" if word.values else ""
            takes = " -r" if word.takes_value and not values else ""
            lines.append(f"{when} {spelt}{takes}{values} -d {_quoted(_first(word.help))}")
    return "\n".join(lines) + "\n"


def _fish_name(name: str) -> str:
    if name.startswith("--"):
        return f"-l {name[2:]}"
    return f"-s {name[1:]}" if len(name) == 2 else f"-o {name[1:]}"


def _first(text: str) -> str:
    return text.partition("  ")[0].partition(". ")[0].rstrip(".")


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
