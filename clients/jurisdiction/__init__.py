"""clients/jurisdiction/: the programs of one legal body; raw rows exist here and nowhere else.

daemon (dials the coordinator) · driver, run (frames in, frames out) · guard (judges) · vault (remembers) · survey ·
engine (the contract of what runs queries) · engines/<one file an engine> · sql/ (queries as SQL).
"""
