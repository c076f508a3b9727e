"""Plan -> dask tasks."""
