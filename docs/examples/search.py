"""
Title: Searching for an architecture
Description: Several sizes of the gated model are trained for the same time, and compared by their validation loss.
Needs: pip install 'kerasmusic[jax]', and a folder of MIDI files.
"""

import itertools

import kerasmusic as km
from kerasmusic.models.presets import GATED, Preset
from kerasmusic.training.run_folder import read_history
from kerasmusic.training.train import train

DATA = "my-midi/"
MINUTES = 10
WIDTHS = (64, 128)
DEPTHS = (1, 2)

"""
## The candidates

A preset is a model class and its arguments, so a search registers one preset for each combination.
"""

candidates = {}
for width, depth in itertools.product(WIDTHS, DEPTHS):
    name = f"width{width}-depth{depth}"
    candidates[name] = Preset(GATED, {"width": width, "hidden": 2 * width, "depth": depth})
    km.register_preset(name, candidates[name])

"""
## Training

Each is trained for the same time, which is what counts where time is what is short. `kerasmusic.training.train.train`
trains without the export and the sample at the end.
"""

corpus = km.open_corpus(DATA)
losses = {}
for name in candidates:
    train(name, corpus, f"runs/{name}", km.Settings(minutes=MINUTES))
    validated = [loss for loss in read_history(f"runs/{name}")["val_loss"] if loss == loss]
    losses[name] = min(validated)

"""
## The result

The best one's folder holds its model, which `kerasmusic train --resume` trains on.
"""

for name, loss in sorted(losses.items(), key=lambda item: item[1]):
    parameters = km.load_model(f"runs/{name}").count_params()
    print(f"{name}: {loss:.3f} nats per note, {parameters:,} parameters")
