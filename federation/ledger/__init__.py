"""Append-only evidence: hashes over what was signed, so that nobody can rewrite or omit it unseen.

merkle      RFC 6962 leaves, roots and inclusion proofs
"""
