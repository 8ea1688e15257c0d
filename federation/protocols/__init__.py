"""Secure sums as machines without sockets, clocks or randomness; one folder is one protocol.

machine     Transition and fold: what every machine is made of
setup       who sums, with which threshold, over what: Setup and Spec
events      what happens to machines and what they want done
secure_sum  the contract: states and steps; drivers know these four and no protocol
states      what members know before, within and after any sum; summing: long vectors, added up in chunks
bundles     what every protocol checks of the messages in a bundle; withdrawal: a word that every protocol has

masked_sum    pairwise and own masks, with Shamir shares of both
paillier_sum  ciphertexts under a key that nobody holds alone, and proofs of everything
key_ceremony  how such a key is made
"""
