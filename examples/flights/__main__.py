"""`python -m federation_examples.flights [FOLDER]`: both stories in this process; pictures go into the folder."""

import sys

from federation_examples.alone import told
from federation_examples.flights.models import MODELS
from federation_examples.flights.story import STORY

if __name__ == "__main__":
    sys.exit(max([told(story, sys.argv[1:]) for story in (STORY, MODELS)]))
