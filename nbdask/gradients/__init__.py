"""Derivatives of images with respect to an experiment's numbers, and fits that use them."""
