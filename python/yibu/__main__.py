"""`python -m yibu`: see `command_line.py`."""

from yibu.command_line import main

if __name__ == "__main__":
    main()
