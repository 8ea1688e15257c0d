"""Ours, named on purpose: a data package of the examples installs a top-level `tests` of its own."""
