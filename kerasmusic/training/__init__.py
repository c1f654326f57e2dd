"""Training: from a corpus to a run's folder with a model, its history and what it takes to carry on."""

from kerasmusic.quiet import quiet_tensorflow

# Before Keras is imported, which may load it.
quiet_tensorflow()
