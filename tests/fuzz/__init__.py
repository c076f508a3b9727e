"""Every parser, and the readers of stores, on inputs that are nearly right."""
