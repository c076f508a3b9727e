"""One pixel's every intermediate value, and where it first differs from the C program's."""
