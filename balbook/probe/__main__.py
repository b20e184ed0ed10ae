"""`python -m balbook.probe CONFIG.json`: the probe as a process of its own."""

import sys

from balbook.probe.prober import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
