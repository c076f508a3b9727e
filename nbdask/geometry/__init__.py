"""What is computed once per run: axes, cell vectors, rotations, sources."""
