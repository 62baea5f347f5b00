"""The ops as Triton kernels. Imported only when one runs, since importing needs Triton."""
