"""Compiling every kernel ahead of time, without a GPU, and reading the machine code.

Each launcher runs on tensors without storage while its launches are recorded, so the compiled
kernels (types, tiles, warps, alignments) are those of production. `python -m sesame_kernels.aot`
prints what each launch uses and holds it against `budgets`.
"""
