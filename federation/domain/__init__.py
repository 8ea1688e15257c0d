"""The frozen values that everybody speaks: no behaviour beyond comparing, looking up and hashing.

catalogue: what a jurisdiction publishes, and `agreed` over all publications · roster: members, roles, keys, their hash
job: what a researcher submits and the events of its life, and `digest`, the one way to make ids · verdict: what
a jurisdiction answers. Refuses descriptions that differ, naming party and column; stands on crypto and errors.
"""
