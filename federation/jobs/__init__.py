"""The life of a job as pure functions: no clock, no file, no socket; time arrives as an argument.

lifecycle: Submitted, UnderReview, Running(round), then Released, Refused or Aborted, as a fold over events
planner: from a signed job to the replay of its plans, the same at every party and at the researcher
sums, protection: who is in each secure sum and what it promises; masks or a joint key, and what a party refuses
Compositions (standardise, then train) live here. Refuses a statistic or a version that this house does not have.
"""
