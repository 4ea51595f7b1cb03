"""Clients of databases and brokers, each at work on the real server from Debian's packages."""
