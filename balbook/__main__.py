"""`python -m balbook`."""

import sys

from balbook.cli import main

sys.exit(main())
