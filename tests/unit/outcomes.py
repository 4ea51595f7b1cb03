"""What the same call does on two implementations, in a form that can be compared."""


def outcome(function, *arguments):
    """What a function returns, or the exception that it raises as a text."""
    try:
        return function(*arguments)
    except Exception as error:
        return repr(error)


async def awaited(function, *arguments):
    """The same of a coroutine function."""
    try:
        return await function(*arguments)
    except Exception as error:
        return repr(error)
