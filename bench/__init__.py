"""Benchmarks of kerasmusic, measured side by side with the tutorial that it is based on."""
