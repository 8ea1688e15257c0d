"""The family of rules: one file is one rule and the file's name is the rule's name in a refusal.

A member subclasses `federation.policy.rule.Rule` exactly once and reads like the clause that it enforces; nothing
else is edited.
"""
