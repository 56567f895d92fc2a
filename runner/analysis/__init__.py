"""What the source of one cell does with names, and what code it is; nothing here knows of other cells."""

from .analysis import Analysis, AnalysisError, analyze

__all__ = ["Analysis", "AnalysisError", "analyze"]
