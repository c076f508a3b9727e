"""The bundled example: real minerals that need no file of the user's."""

from nbdask.example.write import crystals, write_example

__all__ = ["crystals", "write_example"]
