"""The same small service in several frameworks: it waits, uses a thread, and says which loop serves it."""
