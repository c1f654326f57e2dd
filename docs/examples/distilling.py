"""
Title: A smaller model that learns from larger ones
Description: A `tiny` is trained on the probabilities of the bundled model instead of the notes alone.
Needs: pip install 'kerasmusic[jax,tensorflow,edge]', and a folder of MIDI files.
"""

from keras import ops

import kerasmusic as km
from kerasmusic.models.gated_model import GatedNoteModel
from kerasmusic.models.presets import Preset, find_preset

DATA = "my-midi/"
MINUTES = 10
STUDENT = "tiny"
# Models, each with its share of the probabilities: several predict better than the best of them. All need the student's
# codec, and its memory or none.
TEACHERS = [(1.0, km.load_model())]

"""
## The loss

A note says which pitch was played; a teacher says how likely each of 128 was. In distillation (Hinton et al., 2015) the
loss is the cross entropy of the student's probabilities with the teachers'. `read` hands each field's logits to a
function, which returns the notes' values.
"""


def logits_of(model, notes, context, style=None):
    """The logits of the four fields, each float32 `[batch, T, n]`."""
    found = []

    def keep(index, logits):
        found.append(logits)
        return notes[:, 1:, index]

    model.read(notes, model.state_after(context), keep, style)
    return found


class Student(GatedNoteModel):
    """A gated model whose loss compares it with its teachers."""

    def losses_of(self, notes, style=None):
        context, notes = notes[:, : self.context_notes], notes[:, self.context_notes :]
        likely = [0.0] * 4
        for share, teacher in TEACHERS:
            taught = logits_of(teacher, notes, context)
            likely = [p + share * ops.softmax(each, axis=-1) for p, each in zip(likely, taught, strict=True)]
        found = [ops.log_softmax(each, axis=-1) for each in logits_of(self, notes, context, style)]
        losses = [-ops.sum(ops.stop_gradient(p) * each, axis=-1) for p, each in zip(likely, found, strict=True)]
        return ops.stack(losses, axis=-1)


km.register_preset("student", Preset(Student, find_preset(STUDENT).config))

"""
## Training

The losses of the run are those cross entropies. `evaluate` compares the student with other models, in nats per note.
"""

result = km.train("student", km.open_corpus(DATA), "runs/student", km.Settings(minutes=MINUTES))

"""
## The model

Whoever opens it needs no teachers, so it is saved as the model that it is.
"""

student = km.load_model(result.run)
model = GatedNoteModel.from_config({**student.get_config(), "preset": STUDENT, "name": STUDENT})
model.set_weights(student.get_weights())
model.save("distilled.keras")
exported = km.export_tflite("distilled.keras", "distilled.tflite", precision="int8")
print(f"{exported.bytes:,} bytes, {exported.microseconds:.0f} us a note")
