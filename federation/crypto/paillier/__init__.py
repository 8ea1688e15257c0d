"""Paillier's cryptosystem with short exponents, and a key that nobody holds alone: sums of numbers that nobody sees.

draws        integers: secret ones from entropy, public ones from a hash
spreading    lists worked on by as many cores as were lent
kernel       eight numbers at once, by compiled code where there is some
powers       many powers at once
ciphertexts  what is accepted as a ciphertext, their bytes, their product
comb         many powers of one base
multiexp     products of many powers
keys         the public key, which anyone computes again, and the key of a single owner
packing      many numbers in one plaintext, with room for the sum
pool         blindings made beforehand
engine       encrypts, and computes with ciphertexts
threshold    the joint key, a holder's share, his answers, and what all answers open
proofs       that a party knows what it sent, and that a holder used his share
modulus      that a stranger's modulus is a product of two primes
interop      the same keys and integers as phe has them; the extra of this name
"""
