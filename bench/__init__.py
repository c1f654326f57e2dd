"""Benchmarks: what kerasmusic costs, measured side by side with the tutorial it starts from."""
