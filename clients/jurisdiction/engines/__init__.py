"""engines/: one file is one engine, found by its name; a file that starts with `_` is a part of one.

duckdb (embedded, the default: CSV, Parquet and frames), with _files, _frames, _read and _typed beside it.
A new engine subclasses `clients.jurisdiction.engine.Engine`; test_engine_conformance.py finds it and tests it.
"""
