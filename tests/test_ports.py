from types import SimpleNamespace

import pytest

from kerasmusic.errors import PortError
from kerasmusic.live.ports import find_port

pytest.importorskip("mido", reason="needs mido")

PIANO, FIRST, SECOND = "Digital Piano:Digital Piano MIDI 1 20:0", "Synth:Synth MIDI 1 24:0", "Synth:Synth MIDI 1 28:0"


def found(name, names=(PIANO, FIRST, SECOND)):
    return find_port(name, "output", SimpleNamespace(get_output_names=lambda: list(names)))


@pytest.mark.parametrize(
    ("name", "full"),
    [
        (PIANO, PIANO),
        ("Digital Piano:Digital Piano MIDI 1", PIANO),
        # It had other numbers before it was plugged in again.
        ("Digital Piano:Digital Piano MIDI 1 36:0", PIANO),
        ("digital piano", PIANO),
        (SECOND, SECOND),
    ],
)
def test_a_port_is_found_whatever_its_numbers_are(name, full):
    assert found(name) == full


def test_of_two_ports_of_one_name_the_numbers_tell_them_apart():
    for name in ("Synth", "Synth:Synth MIDI 1", "Synth:Synth MIDI 1 99:0"):
        with pytest.raises(PortError, match=r"several MIDI outputs have this name: Synth.* 24:0, Synth.* 28:0"):
            found(name)


def test_a_whole_name_is_preferred_to_a_part_of_another():
    assert found("Synth", ("Synth 20:0", "Synth two 24:0")) == "Synth 20:0"


def test_a_port_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(
        PortError, match=r"Organ: no such MIDI output; there are Digital Piano:Digital Piano MIDI 1, Sy"
    ):
        found("Organ")
    with pytest.raises(PortError, match="there is none at all"):
        found("Organ", ())
