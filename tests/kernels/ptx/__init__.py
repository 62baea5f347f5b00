"""Executes compiled kernels on a CPU: the sm_80 PTX that Triton makes, on NumPy arrays.

All threads of many blocks take each instruction together. Every access is checked: bounds and
alignment in global and shared memory, and races in shared memory. What it does not show: wgmma and
tcgen05 (sm_90 and later), time, and the approximations of the hardware's special functions.
"""
