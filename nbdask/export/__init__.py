"""Store -> file, tile by tile.

Called, it is :func:`nbdask.export.formats.export`.
"""
