"""Between bytes and values: the only room that validates what strangers send.

messages: what travels · convert (frames, sums, jobs, publications, fields): bytes and values · envelope: signatures
bulk, pieces: parts too long for a message · log: the wire log · evidence: a job's file of what was received
v1/: generated from protos/federation/wire/v1 and committed; a test regenerates and compares, `make protos` renews it
Refuses unknown fields, sizes and depths beyond the limits, and signatures of anybody but the named sender.
"""
