"""`python -m federation_examples.fashion [FOLDER]`: both splits in this process; pictures go into the folder."""

import sys

from federation_examples.alone import told
from federation_examples.fashion.story import STORIES

if __name__ == "__main__":
    sys.exit(max(told(story, sys.argv[1:]) for story in STORIES))
