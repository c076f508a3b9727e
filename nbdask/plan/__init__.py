"""The plan of a run: tiles, step ranges, bytes and time; plain data.

Called, it is :func:`nbdask.lazy.plan`.
"""
