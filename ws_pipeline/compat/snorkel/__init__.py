"""Code that was written for Snorkel, run as it is.

Either one line at the top of a script or notebook, before Snorkel is imported::

    from ws_pipeline.compat.snorkel import install; install()

or none, on the command line::

    python -m ws_pipeline.compat.snorkel script.py arguments ...
    python -m ws_pipeline.compat.snorkel -m module arguments ...

What differs is in docs/coming-from-snorkel.md.
"""

from ws_pipeline.compat.snorkel.modules import install, uninstall

__all__ = ["install", "uninstall"]
