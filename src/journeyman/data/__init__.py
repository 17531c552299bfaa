"""Read, group, split, leak check."""
