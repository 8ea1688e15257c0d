"""The family of architectures: one file is one model and the file's name is its name in a job.

A member subclasses `federation.training.model.Model` exactly once and is found by `registry.look_up`; nothing else is
edited. `_pieces` holds what several are built from. Torch is imported inside the bodies of functions only.
"""
