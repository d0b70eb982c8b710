"""``python -m ws_pipeline.compat.snorkel``: run a script or module that imports Snorkel."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from ws_pipeline.compat.snorkel.modules import install

USAGE = "usage: python -m ws_pipeline.compat.snorkel (script.py | -m module) [argument ...]"


def main(arguments: Sequence[str]) -> None:
    """Run a script as ``python script.py ...`` does, or a module as ``python -m module ...``.

    ``sys.argv`` and the first entry of ``sys.path`` are those of such a call.
    """
    if arguments[:1] in (["-h"], ["--help"]):
        print(USAGE)
        return
    runs_module = arguments[:1] == ["-m"]
    target = list(arguments[1:] if runs_module else arguments)
    if not target or target[0].startswith("-"):
        sys.exit(USAGE)
    install()
    sys.argv[:] = target
    if runs_module:
        runpy.run_module(target[0], run_name="__main__", alter_sys=True)
        return
    script = Path(target[0])
    if not script.exists():
        sys.exit(f"there is no file '{target[0]}'; {USAGE}")
    if not sys.flags.safe_path:
        sys.path[0] = str(script.resolve().parent)
    runpy.run_path(target[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
