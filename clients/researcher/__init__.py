"""The researcher's program: ask a question, watch it, check the answer.

`session` connects and runs jobs, `table` is a published data set without rows, `asking` makes computations, `results`
holds what came back. `verified` replays every answer before it is shown; `audit` checks a job's evidence for anybody.
Nothing here sees a row or a party's own figure; it dials the coordinator through `transport` and nothing else.
"""
