"""The programs that dial the coordinator; they share one line and know nothing else of each other.

channel: the line out · jurisdiction: rows exist here and nowhere else · researcher: sessions, tables, checked results
portal: web pages · local: all programs in one process · cli: `federation VERB`
Only cli and local may reach the coordinator's room; federation never imports anything from here.
"""
