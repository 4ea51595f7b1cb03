"""Whole programs on a kernel that interrupts, cuts short, lies and breaks connections, as a seed decides."""
