"""Which work: tiles and step ranges, bytes and time; plain data."""
