"""All that touches zarr."""
