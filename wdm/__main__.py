"""`python -m wdm`: the same as `wdm`."""

import sys

from wdm.cli import main

if __name__ == "__main__":
    sys.exit(main())
