"""Notebook files: which cells a file holds, read without running it."""
