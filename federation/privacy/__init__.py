"""What limits that which an opened sum says about a unit.

suppression  fewest contributors of a cell, and the interval that withheld cells leave around what was opened
Noise, accountant and budget join this room with differential privacy. Withholding itself is `federation.query.round`:
it happens at the jurisdiction, before anything is sent.
"""
