"""The version of the package, in one place, without importing anything."""

__version__ = "0.1.0"
