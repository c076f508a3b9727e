"""Regions of an image compared with the user's nanoBragg C program."""
