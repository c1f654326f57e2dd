"""
Title: Fine-tuning the bundled model on music of your own
Description: The model that comes with the package learns a style from a few performances, in minutes.
Needs: pip install 'kerasmusic[jax,tensorflow,edge]', and a folder of MIDI files.
"""

import kerasmusic as km
from kerasmusic.evaluation.likelihood import evaluate
from kerasmusic.opening import open_scorer

DATA = "my-midi/"
MINUTES = 10

"""
## The data

A folder is split by its files' names, so that a file keeps its split when others are added. The corpus takes the codec
of the model, which says what its numbers mean.
"""

model = km.load_model()
corpus = km.open_corpus(DATA, codec=model.codec)

"""
## Before

The measure is nats per note on performances that training does not see: less is better.
"""

before = evaluate(open_scorer(), corpus).nats

"""
## Training

A model that was trained before starts at 0.3 of its preset's learning rate. Stretching plays the music up to 5 % slower
and faster, which suits performances; leave it out for music on a grid.
"""

result = km.train(model, corpus, "runs/fine-tuned", km.Settings(minutes=MINUTES, stretch=0.05))
after = evaluate(open_scorer(result.run), corpus).nats
print(f"{before:.3f} nats per note before, {after:.3f} after {result.steps} steps")

"""
## Listening

The same seed lets one hear what has changed.
"""

km.write_midi(km.open_generator(seed=7).take(300), "before.mid")
km.write_midi(km.open_generator(result.run, seed=7).take(300), "after.mid")
