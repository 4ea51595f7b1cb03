"""What is done again and again leaves nothing behind: memory blocks, references, descriptors."""
