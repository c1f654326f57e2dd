"""Sources of music, and the corpora made of them for training and evaluation."""
