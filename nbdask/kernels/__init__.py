"""The image of one tile for one range of steps."""
