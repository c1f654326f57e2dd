"""Music to train and evaluate on: where it comes from, and the corpora that are made of it."""
