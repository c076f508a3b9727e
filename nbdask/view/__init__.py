"""Pictures of stores, and the viewer.

Called, it is :func:`nbdask.view.notebook.view`.
"""
