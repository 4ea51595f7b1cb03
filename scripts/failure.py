"""The one error of the scripts: something that the user can read and act on, without a traceback."""


class Failure(Exception):
    """A step cannot go on; the message says why and what to do."""
