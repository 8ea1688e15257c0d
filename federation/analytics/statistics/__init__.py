"""The family of statistics: one file is one statistic and the file's name is its name in a job.

A member subclasses `federation.analytics.statistic.Statistic` exactly once and is found by `registry.look_up`;
nothing else is edited. What two members share lives one floor up, in `federation.analytics`.
"""
