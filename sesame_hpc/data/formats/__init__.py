"""Annotation files: one file per format, what a reader yields, and conversion between formats."""
