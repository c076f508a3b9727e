"""Detectors as geometry files describe them: panels in space, and one reader for each format."""
