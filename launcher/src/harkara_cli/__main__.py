"""`python -m harkara_cli`: the `harkara` command."""

import sys

from harkara_cli.main import main

if __name__ == "__main__":
    sys.exit(main())
