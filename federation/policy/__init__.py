"""What a jurisdiction permits: named, pure rules over a job and over every round of it, each quoting its clause.

rule    Rule, Settings (what the operator chose), Request (what is judged)
review  runs all rules: `judge` before any row is touched, `judge_round` again before every secure sum
rules/  one file a rule; a new rule is one new file
"""
