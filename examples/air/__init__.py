"""Three authorities as three parties: how much dust is in the air, how often too much, and in which months?

data: PM10 at 70 rural stations of Germany (a Debian package), checked by SHA-256, one Parquet file an authority
converter: a process of its own that reads R's file
story: the questions, the pooled reference and the report
python -m federation_examples.air runs it in one process, without daemons
"""
