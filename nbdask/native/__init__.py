"""Compiled C++: the sources, the libraries built from them, and how one is chosen and loaded."""
