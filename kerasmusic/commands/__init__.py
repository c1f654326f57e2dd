"""The commands of `kerasmusic`, a module each. They import what they need when they run: help comes at once."""
