"""Benchmarks inside one process: a fixed number of operations, and the CPU time they took.

Each is a small function in the file of its topic, registered by `catalogue.benchmark`. `worker.py` runs them
in a process of the contender's own, `measure.py` sends round after round to those processes.
"""
