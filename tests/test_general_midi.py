import pretty_midi

from kerasmusic.general_midi import PROGRAMS


def test_there_is_a_name_for_each_program():
    assert len(PROGRAMS) == len(set(PROGRAMS)) == 128
    theirs = [pretty_midi.program_to_instrument_name(program) for program in range(128)]
    # Of two, pretty_midi has a letter or the brackets otherwise.
    assert sum(ours.lower() != other.lower() for ours, other in zip(PROGRAMS, theirs, strict=True)) <= 1
