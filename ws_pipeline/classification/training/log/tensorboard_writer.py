"""A log that TensorBoard shows.  Importing this module imports neither torch nor tensorboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ws_pipeline.classification.training.log.json_values import as_number, to_json_text
from ws_pipeline.classification.training.log.log_writer import LogWriter
from ws_pipeline.errors import InvalidInputError, SettingsError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_FLUSH_SECONDS = 10


class TensorBoardWriter(LogWriter):
    """A :class:`LogWriter` that writes TensorBoard's event files as well, into the same folder.

    Look at them with ``tensorboard --logdir logs``.  They store numbers in single precision, under
    whole steps, and reach the disk within ten seconds; the JSON lines are exact and there at once.

    Parameters
    ----------
    **kwargs
        As of :class:`LogWriter`.

    Attributes
    ----------
    writer
        The ``torch.utils.tensorboard.SummaryWriter``, for images, histograms and the rest.

    Raises
    ------
    SettingsError
        The package tensorboard is not installed, or as :class:`LogWriter`.
    """

    def __init__(self, **kwargs: Any) -> None:
        _summary_writer()  # before a folder is made
        super().__init__(**kwargs)
        self.writer = self._new_writer()

    def add_scalar(self, name: str, value: float, step: float) -> None:
        """Log one number; see :meth:`LogWriter.add_scalar`.

        Raises
        ------
        InvalidInputError
            ``step`` is no whole number, which TensorBoard would round down, or as LogWriter's.
        """
        when = as_number(step, f"step of scalar '{name}'")
        if when != when // 1:
            message = (
                f"step of scalar '{name}' must be a whole number for TensorBoard, got {when}; "
                "count batches or points, or log with LogWriter"
            )
            raise InvalidInputError(message)
        number = as_number(value, f"value of scalar '{name}'")
        super().add_scalar(name, number, when)
        self.writer.add_scalar(name, number, int(when))

    def add_text(self, name: str, text: str) -> None:
        """Log a text; TensorBoard shows it as Markdown."""
        super().add_text(name, text)
        self.writer.add_text(name, str(text))

    def write_config(self, config: Any, config_filename: str = "config.json") -> None:
        """Write settings as JSON, and show them as a text called "config"."""
        super().write_config(config, config_filename)
        shown = to_json_text(config, "config", indent=2)
        self.writer.add_text("config", f"```\n{shown}```")
        self.writer.flush()

    def rewind(self, step: float, training: str | None = None) -> None:
        """Forget what was logged after ``step``; TensorBoard hides it."""
        super().rewind(step, training)
        self.writer.close()
        self.writer = self._new_writer(purge_step=int(step // 1) + 1)

    def cleanup(self) -> None:
        """Close the event file and do what :meth:`LogWriter.cleanup` does."""
        self.writer.close()
        super().cleanup()

    def _new_writer(self, purge_step: int | None = None) -> SummaryWriter:
        return _summary_writer()(self.log_dir, purge_step=purge_step, flush_secs=_FLUSH_SECONDS)


def _summary_writer() -> type[SummaryWriter]:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as missing:
        message = (
            "TensorBoardWriter needs the package tensorboard, which cannot be imported "
            f"({missing}); run: pip install 'ws_pipeline[tensorboard]', or log with LogWriter"
        )
        raise SettingsError(message) from missing
    return SummaryWriter
