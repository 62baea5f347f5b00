"""`python -m sesame_hpc`, and with it `torchrun -m sesame_hpc`: the command line."""

from sesame_hpc.cli.main import main

if __name__ == "__main__":
    main()
