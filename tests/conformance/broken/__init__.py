"""Implementations with one defect each. The runner's own tests show that none of them gets through."""
