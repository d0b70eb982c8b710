"""The log of a run that the command line shows: warnings, on standard error."""

import logging
import sys

import dagster as dg

_NOT_RUN = "Dependencies for step "


def _command_logger(_context: dg.InitLoggerContext) -> logging.Logger:
    """Make a logger that leaves out what Dagster says: the command reports on that itself."""
    logger = logging.getLogger("ws_pipeline.run")
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_is_ours)
    handler.setFormatter(_Plain())
    logger.handlers = [handler]
    return logger


command_logger = dg.LoggerDefinition(
    _command_logger, description="Prints the warnings of a run to standard error, without times and run ids."
)


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether no event of Dagster, nor its word on steps that cannot run since another one failed."""
    metadata = getattr(record, "dagster_meta", None)
    message = metadata["orig_message"] if metadata else record.getMessage()
    return getattr(record, "dagster_event", None) is None and not message.startswith(_NOT_RUN)


class _Plain(logging.Formatter):
    """The level and the message, as it was before Dagster put the run and the step before it."""

    def format(self, record: logging.LogRecord) -> str:
        metadata = getattr(record, "dagster_meta", None)
        message = metadata["orig_message"] if metadata else record.getMessage()
        return f"{record.levelname.lower()}: {message}"
