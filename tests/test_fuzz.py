import os
import random
import signal

import pytest

import fuzz

pytestmark = pytest.mark.device


@pytest.mark.parametrize(("kind", "cases"), [("midi", 400), ("codec", 400), ("file", 60), ("record", 60)])
def test_hostile_input_is_read_or_refused(kind, cases, exported, monkeypatch):
    monkeypatch.setenv("KERASMUSIC_TEST_MODELS", str(exported["tiny"][1].parents[1]))
    running, failures = fuzz.fuzz(kind, 1, cases), []
    while True:
        try:
            failures.append(next(running))
        except StopIteration as ended:
            read = ended.value
            break
    assert failures == []
    assert 0 < read < cases


def fail_in_turn(chosen):
    """Misbehaves as a reader in the given way, which the fuzzer must report."""
    number = chosen.randrange(6)
    if number == 1:
        raise ZeroDivisionError
    if number == 2:
        os.abort()
    if number == 3:
        signal.pause()


fuzz.KINDS["failing"] = fail_in_turn


@pytest.mark.slow
def test_the_fuzzer_tells_of_exceptions_crashes_and_hangs():
    fates = [random.Random(f"failing 3 {number}").randrange(6) for number in range(12)]
    assert {1, 2, 3} <= set(fates)
    told = dict(fuzz.fuzz("failing", 3, 12, hangs_after=3.0, run=run_failing))
    assert set(told) == {number for number, fate in enumerate(fates) if fate in (1, 2, 3)}
    for number, how in told.items():
        assert {1: "ZeroDivisionError", 2: "died (-6)", 3: "no answer"}[fates[number]] in how


def run_failing(*arguments):
    """Runs in the spawned process, which imports this module."""
    fuzz.run_cases(*arguments)
