"""Training: from a corpus to a run's folder with the model, its history and a checkpoint to resume from."""

from kerasmusic.quiet import quiet_tensorflow

# Before Keras is imported, which may load it.
quiet_tensorflow()
