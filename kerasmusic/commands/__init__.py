"""The commands of `kerasmusic`, one module each. They import what they need when they run, so that help is quick."""
