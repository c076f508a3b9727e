"""Filling a store tile by tile: begun, resumed or mended by one class, whatever the work is."""
