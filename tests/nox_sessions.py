"""The sessions of `noxfile.py` and the Python versions of `pyproject.toml`, read without nox."""

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def pythons():
    """The Python versions of the classifiers, oldest first."""
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    return [each.rsplit(" ", 1)[1] for each in classifiers if re.search(r":: 3\.\d+$", each)]


def sessions():
    """The names of the sessions, including those to which nox adds a Python version."""
    for function in ast.parse((ROOT / "noxfile.py").read_text()).body:
        for decorator in getattr(function, "decorator_list", []):
            called = isinstance(decorator, ast.Call)
            if ast.unparse(decorator.func if called else decorator) == "nox.session":
                options = {each.arg: each.value for each in decorator.keywords} if called else {}
                name = options["name"].value if "name" in options else function.name
                yield name
                if ast.unparse(options.get("python", ast.Constant(None))) == "PYTHONS":
                    yield from (f"{name}-{python}" for python in pythons())
