"""The command line: `sesame`, `python -m sesame_hpc`, and with it `torchrun -m sesame_hpc`."""

import sys

__all__ = ["main"]

_TRAINING = ("train", "demo")


def main() -> None:
    """Run the command line; in training, signals are handled before anything else is imported."""
    if any(word in _TRAINING for word in sys.argv[1:2]):
        from sesame_hpc.distributed.interruption import listen

        listen()
    try:
        from sesame_hpc.cli.main import main as run

        run()
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
