import doctest
import importlib
import pkgutil
import re
import shlex
from pathlib import Path

import click
import pytest

import kerasmusic
from kerasmusic.command_line import kerasmusic as command_line

NAMES = [
    module.name
    for module in pkgutil.walk_packages(kerasmusic.__path__, "kerasmusic.")
    if not module.name.endswith(("__main__", "export.tflite"))
]
README = Path(__file__).resolve().parents[1] / "README.md"


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_in_docstrings_are_true(name):
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} does not say what it is for"
    assert doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE).failed == 0


def test_there_are_examples_to_run():
    count = sum(len(doctest.DocTestFinder().find(importlib.import_module(name))) for name in NAMES)
    assert count > 20


def parse(command, arguments):
    """Fails where a command, or a command of a group of commands, does not take the arguments."""
    context = command.make_context(command.name, arguments, resilient_parsing=False)
    if isinstance(command, click.Group):
        _, chosen, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        parse(chosen, rest)


def test_the_readmes_commands_are_ones_the_command_line_takes():
    commands = re.findall(r"^kerasmusic (.+)$", README.read_text(), flags=re.MULTILINE)
    assert len(commands) >= 4
    for command in commands:
        parse(command_line, shlex.split(command))
