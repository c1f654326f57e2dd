"""`kerasmusic completion`: shell scripts that complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from kerasmusic.commands.command import command

SHELLS = ("bash", "zsh", "fish")


@command("completion", 'eval "$(kerasmusic completion bash)"    # in ~/.bashrc')
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def run(context: click.Context, shell: str) -> None:
    """Print the script that makes SHELL complete commands and options."""
    completion = get_completion_class(shell)
    assert completion is not None
    root = context.find_root()
    click.echo(completion(root.command, {}, "kerasmusic", "_KERASMUSIC_COMPLETE").source())
