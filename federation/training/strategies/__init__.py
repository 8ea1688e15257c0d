"""One file is one strategy, both halves of it: `local_step` at the jurisdiction, `merge` on the opened sum.

The file's name is the name that a job carries; `registry.discover` finds it, nothing else is edited.
A strategy never sees one party's update, only the sum; it draws no randomness but from the job's seed.
New ones: copy the nearest file, state its source in the docstring, add its pooled reference test.
"""
