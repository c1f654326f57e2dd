"""
Title: Evaluating a model: likelihood, and how its music compares with pianists'
Description: Nats per note on held-out performances, by field, with a confidence interval; and statistics of its music.
Needs: pip install 'kerasmusic[jax,tensorflow,edge]', and a folder of MIDI files.
"""

import kerasmusic as km
from kerasmusic.evaluation import musicality
from kerasmusic.evaluation.likelihood import evaluate
from kerasmusic.opening import codec_of, open_scorer

DATA = "my-midi/"
MODEL = None  # a run's folder or a model file; None is the bundled model
PIECES = 4

"""
## Likelihood

Whole performances are scored, from the first note to the last, by the very file that plays on a device. The corpus must
have the model's codec.
"""

corpus = km.open_corpus(DATA, codec=codec_of(MODEL))
found = evaluate(open_scorer(MODEL), corpus, "validation")
low, high = found.interval
print(f"{found.nats:.3f} nats per note (95 % interval {low:.3f} to {high:.3f}), {found.pieces} pieces")
for field, nats in found.by_field.items():
    print(f"  {field:9} {nats:.3f}")

"""
## The same notes, one by one

A generator scores any notes, so it can be seen where a piece surprises the model.
"""

music = km.open_generator(MODEL, seed=7).take(200)
log_prob = km.open_generator(MODEL, seed=0).score(music)
surprising = log_prob.sum(axis=1).argmin()
print(f"the least expected note is number {surprising}: {music[surprising]}")

"""
## Its music beside real music

The model plays half as many pieces as there are performances to compare with. Each figure is a distance between
distributions, of notes per second or of repeated notes for instance; a ratio of 1 is as far from real music as one half
of the real music is from the other.
"""

real = musicality.real_pieces(corpus, "train", 2 * PIECES)
played = musicality.generated_pieces(km.open_generator(MODEL, seed=0), len(real) // 2)
print(musicality.compare(played, real))
