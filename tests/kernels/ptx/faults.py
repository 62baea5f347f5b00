"""What a kernel does wrong, and what the emulator cannot do."""

__all__ = ["Fault", "UnsupportedError"]


class Fault(RuntimeError):
    """An access or a synchronisation that is wrong on a GPU, whatever it may have given there."""


class UnsupportedError(RuntimeError):
    """An instruction that the emulator does not have."""
