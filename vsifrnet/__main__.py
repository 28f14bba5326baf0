"""``python -m vsifrnet``."""

import sys

from vsifrnet.cli import main

sys.exit(main())
