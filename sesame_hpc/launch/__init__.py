"""Runs as chains of SLURM jobs. Imports no torch."""
