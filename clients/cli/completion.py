"""`federation completion bash|zsh|fish`: the shell completes verbs and their options."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from clients.cli.main import VERBS
from clients.cli.options import application

app = application(
    "Print a completion script.\n\n"
    '  bash   eval "$(federation completion bash)"            in ~/.bashrc\n'
    '  zsh    eval "$(federation completion zsh)"             in ~/.zshrc\n'
    "  fish   federation completion fish > ~/.config/fish/completions/federation.fish"
)


class Shell(StrEnum):
    """The shells that are known."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


_SUB = {
    "roster": "join init sign show",
    "jurisdiction": "init check start stop status",
    "coordinator": "start stop status",
    "key": "ceremony approve decline status list",
    "catalog": "ls show",
    "get": "jobs parties datasets",
    "completion": "bash zsh fish",
}

_BASH = """\
_federation() {{
  local words="{verbs}" word="${{COMP_WORDS[COMP_CWORD]}}"
  if [ "$COMP_CWORD" -gt 1 ]; then
    case "${{COMP_WORDS[1]}}" in
{cases}
      *) words="" ;;
    esac
    words="$words --help --output --profile"
    COMPREPLY=($(compgen -W "$words" -- "$word") $(compgen -f -- "$word"))
    return
  fi
  COMPREPLY=($(compgen -W "$words --help --version" -- "$word"))
}}
complete -F _federation federation
"""


@app.command()
def completion(shell: Annotated[Shell, typer.Argument(help="Which shell.")]) -> int:
    """Print the script for a shell, to be evaluated by it."""
    cases = "\n".join(f'      {verb}) words="{words}" ;;' for verb, words in _SUB.items())
    bash = _BASH.format(verbs=" ".join(VERBS), cases=cases)
    match shell:
        case Shell.BASH:
            text = bash
        case Shell.ZSH:
            text = "autoload -U +X bashcompinit && bashcompinit\n" + bash
        case Shell.FISH:
            lines = [
                f"complete -c federation -n __fish_use_subcommand -f -a {verb} -d '{found.summary}'"
                for verb, found in VERBS.items()
            ]
            lines += [
                f"complete -c federation -n '__fish_seen_subcommand_from {verb}' -f -a '{words}'"
                for verb, words in _SUB.items()
            ]
            text = "\n".join(lines) + "\n"
    sys.stdout.write(text)
    return 0
