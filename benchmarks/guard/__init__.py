"""How many instructions the hot paths take, counted by callgrind and compared with a stored baseline.

`rows.py` names the paths, `worker.py` runs them under valgrind, `callgrind.py` starts it and reads its
counts, `baseline.py` keeps and compares them. `python -m benchmarks.guard` is the command, `make
bench-guard` builds first.
"""
