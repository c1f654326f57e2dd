"""Tests that every requirement that a message or a page tells users to install exists."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from kerasmusic.models.backend import BACKENDS

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
# Programs, and what one measurement alone takes: nothing that is declared imports them.
TOOLS = {"nox", "notebook", "pip", "playwright", "pre-commit"}
# What messages fill in.
FILLED_IN = {"{name}": BACKENDS}

COMMAND = re.compile(r"\bpip install((?: (?:'[^'\n]*'|[-\w.,\[\]{}]+))+)")
# Of a sentence that goes on.
WORDS = re.compile(r" (?:or|and|in|for|on) ")


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def packages(requirements):
    return {canonical(re.match(r"[\w.-]+", requirement)[0]) for requirement in requirements}


DECLARED = {"kerasmusic", *packages(PROJECT["project"]["dependencies"])}
DECLARED |= packages(requirement for extra in EXTRAS.values() for requirement in extra)
DECLARED |= packages(requirement for group in PROJECT["dependency-groups"].values() for requirement in group)


def texts():
    """Each source file and each page, with its text as users see it."""
    code = [path for folder in ("kerasmusic", "export", "bench") for path in (ROOT / folder).rglob("*.py")]
    for path in sorted([*code, *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.rglob("docs/*.ipynb")]):
        text = path.read_text()
        if path.suffix == ".ipynb":
            text = "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
        yield path.relative_to(ROOT).as_posix(), text


def advised(text):
    """The requirements of each `pip install` in a text."""
    for command in COMMAND.finditer(text):
        for argument in WORDS.split(f"{command[1]} ")[0].split():
            if not argument.startswith("-"):
                placeholder = re.search(r"\{\w+\}", argument)
                fillings = FILLED_IN[placeholder[0]] if placeholder else [""]
                for filling in fillings:
                    filled = argument.replace(placeholder[0], filling) if placeholder else argument
                    yield filled.strip("'").rstrip(".,")


ADVICE = sorted({(name, requirement) for name, text in texts() for requirement in advised(text) if requirement})


def test_advice_is_found_in_messages_and_pages():
    assert ("kerasmusic/models/backend.py", "kerasmusic[torch]") in ADVICE
    assert ("kerasmusic/midi.py", "pretty_midi") in ADVICE
    assert {name.partition("/")[0] for name, _ in ADVICE} >= {"kerasmusic", "export", "bench", "README.md", "docs"}


@pytest.mark.parametrize(("name", "requirement"), ADVICE)
def test_what_is_advised_is_declared(name, requirement):
    package, _, extras = requirement.rstrip("]").partition("[")
    # A dot is the checkout.
    assert package in ("", ".") or canonical(package) in DECLARED | TOOLS
    assert set(extras.split(",")) - {""} <= set(EXTRAS)


def test_every_extra_that_a_text_names_is_there():
    for name, text in texts():
        for extras in re.findall(r"(?:kerasmusic|'\.)\[([\w,-]+)\]", text):
            assert set(extras.split(",")) <= set(EXTRAS), name


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_extra_of_a_backend_brings_it_and_keras(backend):
    assert {backend, "keras"} <= packages(EXTRAS[backend])
