"""What `make` runs: building, testing, measuring. Standard library only, so a bare Python can start it."""
