"""What limits that which an opened sum says about a unit.

suppression  fewest contributors of a cell, and the interval that withheld cells leave around what was opened
differencing what a project has opened of one party's rows, and whether a further set would single out a few
Noise, accountant and budget join this room with differential privacy. Withholding itself is `federation.query.round`:
it happens at the jurisdiction, before anything is sent.
"""
