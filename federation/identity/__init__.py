"""Who a member is on this machine, and what it may remember: shared by the coordinator and the clients.

keys: the key folder (0600 files in a 0700 folder) and `Credentials` · certificate: self-made P-256 leaves that the
roster pins · card: the public part of one member, self-signed · roster_file: the roster as a file, its signatures,
whether it is in force · sealed: encrypted append-only storage · document: strict JSON · toml_file: what operators
write by hand · control: state folder and control socket of a daemon. Refuses keys that others can read, unknown
fields, members that repeat a name or a key, and records that were changed.
"""
