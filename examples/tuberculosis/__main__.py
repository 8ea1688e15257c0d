"""`python -m federation_examples.tuberculosis`: the story on `fed.local`, all parties in this process."""

import sys

from federation_examples.alone import told
from federation_examples.tuberculosis.story import STORY

if __name__ == "__main__":
    sys.exit(told(STORY))
