"""The command line, `federation VERB`.

`main` knows the verbs by name and imports only the one that is asked for. `output` writes: the result to stdout,
everything else to stderr, as a table or as one JSON envelope. `options` holds the options that several verbs share,
`progress` the live lines of a running job, `daemons` starts and stops, `stage` sets up whole federations of processes.
Each other file, and the folder `doctor`, is one verb or a few that belong together.
"""
