"""Lets `python -m bench` do what the `vcbench` command does."""

from bench.cli import main

if __name__ == "__main__":
    main()
