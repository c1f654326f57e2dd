"""Tests that the workflows run the sessions of `.ci/run`, and only sessions that exist."""

import re
import shlex

import pytest
import yaml

from nox_sessions import ROOT, pythons, sessions

WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((ROOT / ".github/workflows").glob("*.yml"))}
CI = (ROOT / ".ci" / "run").read_text()


def commands(value):
    """Every command of a workflow, including those of a matrix."""
    if isinstance(value, dict):
        found = [value[name] for name in ("run", "command") if isinstance(value.get(name), str)]
        yield from found
        for each in value.values():
            yield from commands(each)
    elif isinstance(value, list):
        for each in value:
            yield from [each] if isinstance(each, str) else commands(each)


def sessions_of(text):
    """The sessions in the nox commands of a shell script."""
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        if "-s" in words and words[0].endswith("nox"):
            chosen = words[words.index("-s") + 1 :]
            yield from chosen[: chosen.index("--")] if "--" in chosen else chosen


def actions(workflow):
    for job in workflow["jobs"].values():
        yield from (step["uses"] for step in job["steps"] if "uses" in step)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_names_sessions_that_there_are(name):
    for command in commands(WORKFLOWS[name]):
        assert set(sessions_of(command)) <= set(sessions()), command


def test_each_python_of_the_classifiers_is_tested_by_itself():
    rows = WORKFLOWS["tests"]["jobs"]["python"]["strategy"]["matrix"]["include"]
    oldest, *between, newest = pythons()
    assert {row["python"]: row["command"] for row in rows} == {
        oldest: f"nox -s tests-on-{oldest} -- -m 'not slow'",
        **{python: f"nox -s main-job-{python}" for python in between},
        newest: "nox -s tests",
    }


def test_the_workflow_runs_the_sessions_of_the_local_check():
    here = {each for each in sessions_of(CI.replace("$nox", "nox").replace("for python", "#")) if "$" not in each}
    assert len(here) > 5
    assert here < {session for command in commands(WORKFLOWS["tests"]) for session in sessions_of(command)}


def test_the_workflow_installs_the_packages_of_the_local_check():
    assert WORKFLOWS["tests"]["env"]["PACKAGES"] == re.search(r"^packages=\((.+)\)$", CI, flags=re.MULTILINE)[1]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_may_do_no_more_than_it_must(name):
    workflow = WORKFLOWS[name]
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["group"]
    for job, settings in workflow["jobs"].items():
        assert settings["timeout-minutes"], job
        assert job == "publish" or "permissions" not in settings, job
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@(release/)?v\d+", action) for action in actions(workflow))


@pytest.mark.parametrize("path", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.stem)
def test_a_template_of_an_issue_is_a_form(path):
    form = yaml.safe_load(path.read_text())
    assert form["name"]
    assert form["description"]
    asked = [field for field in form["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in asked}) == len(asked)
    assert all(field["attributes"]["label"] for field in asked)


def test_the_hooks_before_a_commit_run_what_is_installed():
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    assert all(hook["language"] == "system" for hook in repository["hooks"])
