"""The version of this software, as parties say it to each other; `pyproject.toml` reads it from here."""

VERSION = "0.1.0"
