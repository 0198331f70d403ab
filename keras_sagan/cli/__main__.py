"""`python -m keras_sagan.cli`, where the command itself is not installed."""

import sys

from keras_sagan.cli import main

if __name__ == "__main__":
    sys.exit(main())
