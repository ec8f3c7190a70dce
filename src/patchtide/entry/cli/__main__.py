"""`python -m patchtide.entry.cli` is `patchtide`."""

from __future__ import annotations

import sys

from patchtide.entry.cli import main

sys.exit(main())
