"""Store -> file, tile by tile."""
