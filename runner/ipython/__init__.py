"""IPython's language and its shell, for notebooks that were written for IPython."""
