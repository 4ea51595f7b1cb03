"""Frameworks and servers, each started as its users start it, with the one line that puts it on yibu."""
