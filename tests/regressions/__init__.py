"""Failures that other event loops have had, each kept as a test so that it cannot happen here."""
