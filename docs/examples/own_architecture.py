"""
Title: A recurrent model of your own, from a class to a file for a Raspberry Pi
Description: A GRU over piano notes is trained on JAX or TensorFlow, exported to TFLite and played.
Needs: pip install 'kerasmusic[jax,tensorflow,edge]', and a folder of MIDI files.
"""

import numpy as np
from keras import layers, ops

import kerasmusic as km
from kerasmusic.models.choosing import Draws, Labels
from kerasmusic.models.lookup import rows

DATA = "my-midi/"
MINUTES = 10

"""
## The model

A note has four fields: the step from the previous note, the pitch, the duration and the velocity. The codec turns each
into a whole number. The model embeds the previous note, updates its state with it, and predicts the four fields one
after another, each given those before it.

`step` does this for one note, on a device. `score` does it for a whole sequence at once, in training.
"""


class GRUModel(km.NoteModel):
    """A gated recurrent unit and four heads.

    Args:
        units: the width of the embeddings, and of the state.
    """

    learning_rate = 3e-3

    def __init__(self, units=192, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        sizes = self.codec.sizes
        # One table has the embeddings of all fields; the values of a field begin at its offset.
        self.offsets = np.array(self.codec.offsets, "int32")
        self.embedding = layers.Embedding(self.codec.size, units, name="embedding")
        self.gru = layers.GRU(units, return_sequences=True, return_state=True, name="gru")
        self.heads = [layers.Dense(size, name=f"head_{index}") for index, size in enumerate(sizes)]
        self.embedding.build(None)
        self.gru.build((None, None, units))
        for head in self.heads:
            head.build((None, units))
        self.built = True

    def get_config(self):
        return {**super().get_config(), "units": self.units}

    @property
    def state_size(self):
        return self.units

    def embed(self, notes):
        return ops.sum(rows(self.embedding.embeddings, notes + self.offsets), axis=-2)

    def choose_fields(self, hidden, choose):
        for index, head in enumerate(self.heads):
            value = choose(index, head(ops.relu(hidden)))
            hidden = hidden + rows(self.embedding.embeddings, value + self.offsets[index])

    def step(self, inputs):
        hidden, (state,) = self.gru.cell(self.embed(inputs.previous), [inputs.state])
        draws = Draws(inputs, self.codec)
        self.choose_fields(hidden, draws)
        return *draws.note_and_log_prob(), state

    def score(self, notes, state):
        hidden, state = self.gru(self.embed(notes[:, :-1]), initial_state=state)
        labels = Labels(notes[:, 1:])
        self.choose_fields(hidden, labels)
        return labels.log_prob(), state


km.register_preset("gru", GRUModel)

"""
## Training

`train` first checks the model on a few notes: sizes, values in range, and that `step` and `score` agree. It writes the
run's folder, with a checkpoint to resume from, and ends by exporting the model and letting it play.
"""

corpus = km.open_corpus(DATA)
result = km.train("gru", corpus, "runs/gru", km.Settings(minutes=MINUTES))

"""
## The device

The int8 file holds the step with the sampling inside. `verify` plays the notes that were recorded in it, and compares;
on the Raspberry Pi, `kerasmusic verify gru.tflite` does the same.
"""

exported = km.export_tflite(result.run / "model.keras", "gru.tflite", precision="int8")
print(f"{exported.bytes:,} bytes, {exported.microseconds:.0f} us a note, TFLite {exported.runtime} or newer")
km.write_midi(km.Generator("gru.tflite", seed=7).take(300), "gru.mid")
