"""Frameworks and clients at work: what a request, a command or a task of theirs costs on each loop.

`run.py` is the command; `README.md` of the folder above explains the method, which is the same.
"""
