"""Training: from a corpus to a run's folder with a model, its history and what it takes to carry on."""
