"""Measures what an event loop costs, for yibu and every other loop in reach, in one interleaved run.

`run.py` is the command; README.md says how to read what it prints.
"""
