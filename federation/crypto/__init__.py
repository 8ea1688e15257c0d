"""Bytes and integers in, bytes and integers out: every key, seed and piece of entropy is an argument.

signing    Ed25519 over a domain tag and the body as received
agreement  X25519 with the public keys that it refuses, and HKDF-SHA256
shamir     secrets in n shares of which t give them back
aead       AES-256-GCM, one message a key
prg        AES-256-CTR keystream in pieces from any place, one key one use
ring       vectors over Z_2^64 and Z_2^128 as little-endian 64-bit words, with carry
chunk_hash what names a chunk of a long vector: BLAKE3
blinding   many masks on or off one vector, chunk by chunk
encoding   fixed point, several numbers to a word
lanes      those numbers in and out of words, compiled where there is a kernel
compiled   how compiled code is left out
ot         oblivious transfer, a few by public keys and then millions by AES
biprime    powers, symbols and small factors of numbers that may be products of two primes
"""
