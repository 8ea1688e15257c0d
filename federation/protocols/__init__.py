"""Secure sums as machines without sockets, clocks or randomness; one folder is one protocol.

machine     Transition and fold: what every machine is made of
secure_sum  the contract and the values that all protocols share; drivers know only these
masked_sum  pairwise masks over Z_2^128
"""
