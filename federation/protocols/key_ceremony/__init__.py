"""A key that nobody holds: its holders make it together, and no dealer ever has it (Boneh and Franklin 1997).

terms, estimate      who makes which key; what it will cost
messages, events     one word a holder and step, boxes for single peers; what goes in and out of a machine
boxes                what seals a box to one holder
states, party        where a holder stands; its machine
transfers            the first steps: oblivious transfers between all pairs
residues, products   numbers modulo 16-bit numbers, and their products in two shares
candidates           shares of factors and of moduli, and tests that open neither
multiplying, trials a batch: candidates are made, tested, and opened where they are rejected
finishing            from a modulus to a key and its shares
judging              a dispute: who computed something else
"""
