"""`python -m federation_examples.flights`: the story on `fed.local`, all parties in this process."""

import sys

from federation_examples.alone import told
from federation_examples.flights.story import STORY

if __name__ == "__main__":
    sys.exit(told(STORY))
