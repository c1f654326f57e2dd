"""What there is to do with a checkout: `nox -s NAME`, `nox -l` for the list. Arguments after -- are passed on."""

import nox

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "tests"]

PYPROJECT = nox.project.load_toml("pyproject.toml")
TEST_PACKAGES = nox.project.dependency_groups(PYPROJECT, "tests")
LINT_PACKAGES = nox.project.dependency_groups(PYPROJECT, "lint")


@nox.session(name="train-jax")
def train_jax(session: nox.Session) -> None:
    """Train on JAX, export and play; with no --data, on MAESTRO."""
    # Exporting is TensorFlow's, in a process of its own.
    session.install(".[jax,tensorflow,edge,audio,plot]")
    session.run("kerasmusic", "train", "--backend", "jax", *session.posargs)


@nox.session(name="train-tensorflow")
def train_tensorflow(session: nox.Session) -> None:
    """Train on TensorFlow, export and play; with no --data, on MAESTRO."""
    session.install(".[tensorflow,edge,audio,plot]")
    session.run("kerasmusic", "train", "--backend", "tensorflow", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Every test, from an installed wheel, on JAX and then on TensorFlow."""
    session.install(".[jax,tensorflow,edge,audio,plot]", *TEST_PACKAGES)
    for backend in ("jax", "tensorflow"):
        session.run("pytest", *session.posargs, env={"KERAS_BACKEND": backend})


@nox.session
def lint(session: nox.Session) -> None:
    """Style, types and the layers of the design."""
    session.install("numpy", *LINT_PACKAGES)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy", "kerasmusic", "export", "bench")
