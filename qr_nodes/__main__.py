"""`python -m qr_nodes` and the command `qr-nodes`."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line; give its exit code."""
    from qr_nodes.cli import main

    return main()


if __name__ == "__main__":
    sys.exit(main())
