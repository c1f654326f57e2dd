"""Evaluation: the likelihood of real music under a model, and how generated music compares with real music."""
