import numpy as np
import pytest
from kerasmusic.bench import tutorial_loop


def test_the_tutorials_windows_are_25_notes_and_the_note_after(notes):
    windows, labels = tutorial_loop.windows_of(notes)
    assert windows.shape == (len(notes) - 25, 25, 3)
    assert windows[3, 0, 0] * 128 == pytest.approx(notes.pitch[3])
    assert labels["pitch"][3] == notes.pitch[28]
    np.testing.assert_allclose(labels["step"][3], notes.step[28], rtol=1e-5)


def test_the_tutorials_loop_trains_and_plays(notes):
    model = tutorial_loop.build_model()
    windows, labels = tutorial_loop.windows_of(notes)
    losses = model.fit(windows, labels, batch_size=64, epochs=2, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    made = tutorial_loop.generate(model, notes, 3)
    assert len(made) == 3
    assert all(0 <= pitch < 128 and step >= 0 and duration >= 0 for pitch, step, duration in made)
