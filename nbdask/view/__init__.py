"""Pictures of stores, and the viewer."""
