"""Filling a store tile by tile: one class starts, resumes and repairs every kind of work."""
