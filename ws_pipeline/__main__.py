"""``python -m ws_pipeline path/to/pipeline.yaml``: run a whole pipeline and print its scores."""

import sys

from ws_pipeline.cli import main

if __name__ == "__main__":
    sys.exit(main())
