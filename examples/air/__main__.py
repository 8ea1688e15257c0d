"""`python -m federation_examples.air [FOLDER]`: the story in this process; pictures go into the folder."""

import sys

from federation_examples.air.story import STORY
from federation_examples.alone import told

if __name__ == "__main__":
    sys.exit(told(STORY, sys.argv[1:]))
