"""Flower's side of a round that trains nothing; `flower_rounds.py` copies it into an app of Flower's."""
