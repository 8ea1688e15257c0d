"""Web pages over the researcher's own interface: catalogue, jobs, ledger; it can do nothing that a researcher cannot.

Empty until the pages come. It will hold: app, views and templates, rendered on the server, every page also as JSON.
It imports clients.researcher and never clients.jurisdiction or the coordinator: a browser must not reach rows,
and what is shown is what the researcher's identity may see.
"""
