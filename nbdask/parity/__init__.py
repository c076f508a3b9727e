"""Regions of an image against the user's own nanoBragg C program."""
