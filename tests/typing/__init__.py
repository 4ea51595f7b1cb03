"""Programs as users write them, read by type checkers: what the stubs say of yibu."""
