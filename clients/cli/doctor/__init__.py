"""`federation doctor`: what is wrong, why, and the next step.

verb: the command and its table · checkup: what a check is, and what its outcomes mean together (pure)
examination: the checks in their order · probes: what looks at the network, five seconds each
subject: whose file or profile is examined · state_folder: who holds it
"""
