"""The command line, `kerasmusic COMMAND`: finds the command's module, runs it, and says in one line what went wrong."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence

import click

from kerasmusic.errors import KerasMusicError, reason, suggest

# In the order of their use; each is a module of kerasmusic.commands.
COMMANDS = (
    "generate", "play", "service", "plot", "render", "data", "train", "evaluate", "export", "verify", "inspect",
    "check-model", "bench", "completion",
)  # fmt: skip


class _Commands(click.Group):
    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        found: click.Command = importlib.import_module(f"kerasmusic.commands.{name.replace('-', '_')}").run
        return found

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if arguments[0] not in COMMANDS:
            context.fail(f"{arguments[0]}: no such command; {suggest(arguments[0], COMMANDS)}")
        return super().resolve_command(context, arguments)


@click.command(
    cls=_Commands,
    name="kerasmusic",
    epilog="'kerasmusic COMMAND --help' shows what a command takes, with an example. NO_COLOR=1 turns colours off.",
    context_settings={"help_option_names": ["--help", "-h"]},
)
@click.version_option(package_name="kerasmusic", message="kerasmusic %(version)s")
def kerasmusic() -> None:
    """A small neural network that plays the piano anywhere."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns 0, 1 where a proof fails, 2 for what the user can put right, 130 for Ctrl-C."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name is printed byte for byte, whatever its encoding; by default most locales refuse some.
        sys.stdout.reconfigure(errors="surrogateescape")
    try:
        return kerasmusic.main(arguments, prog_name="kerasmusic", standalone_mode=False) or 0
    except click.UsageError as error:
        place = error.ctx.command_path if error.ctx else "kerasmusic"
        return _problem(f"{' '.join(error.format_message().split())}; see '{place} --help'")
    except click.ClickException as error:
        return _problem(error.format_message())
    except (KerasMusicError, OSError) as error:
        return _problem(reason(error))
    except (KeyboardInterrupt, click.Abort):
        click.echo("kerasmusic: stopped", err=True)
        return 130


def _problem(text: str) -> int:
    click.secho("kerasmusic: ", fg="red", nl=False, err=True, color=False if os.environ.get("NO_COLOR") else None)
    click.echo(text, err=True)
    return 2


if __name__ == "__main__":
    # The interpreter's exit code is main's; a closed pipe, as with `| head`, is not worth a traceback.
    try:
        sys.exit(main())
    except BrokenPipeError:
        os._exit(141)
