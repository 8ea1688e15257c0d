"""`python -m federation_examples.heart [FOLDER]`: the story in this process; pictures go into the folder."""

import sys

from federation_examples.alone import told
from federation_examples.heart.story import STORY

if __name__ == "__main__":
    sys.exit(told(STORY, sys.argv[1:]))
