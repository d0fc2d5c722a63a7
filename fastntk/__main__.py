"""``python -m fastntk``."""

from fastntk.cli import main

if __name__ == "__main__":
    main(prog_name="fastntk")
