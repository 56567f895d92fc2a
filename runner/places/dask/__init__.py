"""Cells on a Dask cluster: the place that a `distributed.Client` stands for."""
