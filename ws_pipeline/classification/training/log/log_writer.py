"""The log of a training: scalars as JSON lines, settings and texts as files.

Start reading at :class:`LogWriter`.  Every record is a line of its own in ``log.jsonl``, written as it
comes::

    {"name": "model/all/train/loss", "step": 640, "value": 0.6931}
    {"name": "note", "text": "warm-up is over"}

JSON has no NaN and no infinity: they are the strings "NaN", "Infinity" and "-Infinity", which Python's
``float`` reads.
"""

from __future__ import annotations

import json
import os
import weakref
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from ws_pipeline.classification.training.log.json_values import as_number, finite, to_json_text
from ws_pipeline.errors import FileFormatError
from ws_pipeline.settings.base import parse_settings
from ws_pipeline.settings.trainer import LogWriterConfig
from ws_pipeline.storage.file_errors import telling_file_errors
from ws_pipeline.storage.files import atomic_write

LINES_FILENAME = "log.jsonl"
SUMMARY_FILENAME = "log.json"

_NUMBERS = int | float


class LogWriter:
    """Logs a run into a folder of its own: scalars and texts line by line, settings as JSON files.

    A line is on its way to disk when :meth:`add_scalar` returns, so a process that is killed leaves
    all of its lines, the last one perhaps cut short.  A writer with the same ``run_name`` goes on in
    the same folder: it reads what is there, drops a last line that was cut short, and appends.

    Parameters
    ----------
    config
        The settings.  Default: made of ``kwargs``.
    **kwargs
        Fields of :class:`~ws_pipeline.settings.trainer.LogWriterConfig`: ``log_dir``, a local
        folder ("logs"), and ``run_name``, a folder in it.  Without a name the run is called after
        the date and time, ``2025_01_31/23_59_59``, with ``_2``, ``_3``, ... appended where there is
        such a run.

    Attributes
    ----------
    config
        The settings.
    run_name
        Name of the run: the one given, or the date and time.
    log_dir
        Folder of this run, ``log_dir`` of the settings and ``run_name`` joined; it exists.
    run_log
        All scalars of the run by name, as ``[step, value]`` in the order they came.

    Raises
    ------
    SettingsError
        An unknown setting, or one of the wrong type.
    FileAccessError
        The folder cannot be made, or the log not be written to.
    FileFormatError
        The folder has a ``log.jsonl`` with a line that is no record.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> with LogWriter(log_dir=folder, run_name="first") as writer:
    ...     writer.add_scalar("loss", 0.5, step=1)
    >>> LogWriter(log_dir=folder, run_name="first").run_log["loss"]
    [[1, 0.5]]
    """

    def __init__(self, *, config: LogWriterConfig | None = None, **kwargs: Any) -> None:
        if isinstance(kwargs.get("log_dir"), os.PathLike):
            kwargs["log_dir"] = os.fspath(kwargs["log_dir"])
        self.config: LogWriterConfig = config or parse_settings(LogWriterConfig, kwargs)
        with telling_file_errors(self.config.log_dir, "write"):
            self.run_name: str = (
                _new_run(self.config.log_dir) if self.config.run_name is None else self.config.run_name
            )
            folder = Path(self.config.log_dir, self.run_name)
            folder.mkdir(parents=True, exist_ok=True)
        self.log_dir = str(folder)
        self.run_log: dict[str, list[list[float]]] = defaultdict(list)
        self._lines = folder / LINES_FILENAME
        self._stream: BinaryIO | None = None
        self._read_lines()

    def add_scalar(self, name: str, value: float, step: float) -> None:
        """Log one number.

        Parameters
        ----------
        name
            What it is, for example "task/dataset/split/metric".
        value
            The number: of Python, numpy or torch, or an array of one element; NaN and infinity too.
        step
            When: the number of examples, batches or epochs so far.

        Raises
        ------
        InvalidInputError
            ``value`` or ``step`` is no number.
        """
        number = as_number(value, f"value of scalar '{name}'")
        when = as_number(step, f"step of scalar '{name}'")
        self._append({"name": name, "step": when, "value": number})
        self.run_log[name].append([when, number])

    def add_text(self, name: str, text: str) -> None:
        """Log a text.

        Parameters
        ----------
        name
            What it is.
        text
            Any text; one of several lines is still one record.
        """
        self._append({"name": name, "text": str(text)})

    def write_config(self, config: Any, config_filename: str = "config.json") -> None:
        """Write settings into the folder of the run, as JSON.

        Parameters
        ----------
        config
            Settings: pydantic or dataclass objects, named tuples or mappings, nested as you like, with
            paths, dates, enums, numpy and torch values in them.
        config_filename
            Name of the file.

        Raises
        ------
        InvalidInputError
            A value has no JSON form; its place in the settings is named and no file is written.
        """
        self._write(to_json_text(config, "config", indent=2), config_filename)

    def write_log(self, log_filename: str) -> None:
        """Write all scalars of the run, :attr:`run_log`, into one JSON file.

        Parameters
        ----------
        log_filename
            Name of the file in the folder of the run.
        """
        self.write_json(self.run_log, log_filename)

    def write_text(self, text: str, filename: str) -> None:
        """Write a text, for example the command that started the run.

        Parameters
        ----------
        text
            What to write.
        filename
            Name of the file in the folder of the run; an older one is replaced.
        """
        self._write(text, filename)

    def write_json(self, dict_to_write: Mapping[str, Any], filename: str) -> None:
        """Write a JSON file.

        Parameters
        ----------
        dict_to_write
            What to write; values as in :meth:`write_config`.
        filename
            Name of the file in the folder of the run; an older one is replaced.

        Raises
        ------
        InvalidInputError
            A value has no JSON form; no file is written.
        """
        self._write(to_json_text(dict_to_write, filename), filename)

    def resume(self, training: str, step: float) -> None:
        """Resume after ``step``: drop what this training logged later, keep earlier trainings.

        Parameters
        ----------
        training
            Says which training it is.  Where it begins in the log, a text of that name is written.
        step
            The last step that is kept.
        """
        if any(record == _beginning(training) for _, record in self._records()):
            self.rewind(step, training)
        else:
            self.add_text(**_beginning(training))

    def rewind(self, step: float, training: str | None = None) -> None:
        """Drop what was logged after ``step``, for a run that resumes from an earlier checkpoint.

        Parameters
        ----------
        step
            The step of the checkpoint.  The log is cut before the first scalar with a later one.
        training
            Leave alone what is before the beginning of this training, see :meth:`resume`.
        """
        self._close()
        self.run_log.clear()
        end, is_own = 0, training is None
        beginning = _beginning(training or "")
        for after, record in self._records():
            if is_own and record.get("step", step) > step:
                break
            is_own = is_own or record == beginning
            end = after
            self._remember(record)
        if self._lines.exists():
            os.truncate(self._lines, end)

    def cleanup(self) -> None:
        """Close the log and write ``log.json``, all scalars by name; calling it again does no harm."""
        self._close()
        self.write_log(SUMMARY_FILENAME)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cleanup()

    def _write(self, text: str, filename: str) -> None:
        with atomic_write(Path(self.log_dir, filename)) as stream:
            stream.write(text.encode())

    def _append(self, record: Mapping[str, Any]) -> None:
        if self._stream is None:
            self._stream = self._open()
            weakref.finalize(self, self._stream.close)  # a writer that is dropped closes its file
        # ASCII: no character inside a record can be taken for the end of its line.
        line = json.dumps({key: finite(item) for key, item in record.items()}, allow_nan=False)
        with telling_file_errors(self._lines, "write"):
            self._stream.write(line.encode() + b"\n")
            self._stream.flush()

    def _open(self) -> BinaryIO:
        """Open the lines for appending, behind the last complete one."""
        end = max((end for end, _ in self._records()), default=0)
        with telling_file_errors(self._lines, "write"):
            stream = self._lines.open("ab")
            stream.truncate(end)
            if end and not self._lines.read_bytes().endswith(b"\n"):
                stream.write(b"\n")
            return stream

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _read_lines(self) -> None:
        for _, record in self._records():
            self._remember(record)

    def _remember(self, record: Mapping[str, Any]) -> None:
        if "step" in record:
            self.run_log[record["name"]].append([record["step"], record["value"]])

    def _records(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Each record that is on disk, after the byte where it ends; a last line cut short is left out."""
        if not self._lines.exists():
            return
        end = 0
        with telling_file_errors(self._lines, "read"), self._lines.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                record = _parse_record(line)
                if record is None and line.endswith(b"\n"):
                    message = (
                        f"{self._lines}, line {number}: expected a record of this log, got {line[:80]!r}; "
                        "fix or move the file, or choose another run_name"
                    )
                    raise FileFormatError(message)
                if record is not None:
                    end += len(line)
                    yield end, record


def _parse_record(line: bytes) -> dict[str, Any] | None:
    """The record of a line; None when it is none, or only the beginning of one."""
    try:
        record = json.loads(line.decode())
        if "text" in record:
            return {"name": record["name"], "text": record["text"]}
        step, value = (_number(record[key]) for key in ("step", "value"))
        return {"name": record["name"], "step": step, "value": value}
    except (ValueError, KeyError, TypeError):
        return None


def _beginning(training: str) -> dict[str, str]:
    """The record that marks where a training begins in the log."""
    return {"name": "training", "text": training}


def _number(item: Any) -> float:
    return item if isinstance(item, _NUMBERS) else float(item)


def _new_run(log_dir: str) -> str:
    """Make a folder for a run called after the date and time, and return its name."""
    name = _now().strftime("%Y_%m_%d/%H_%M_%S")
    candidate, number = name, 1
    while True:
        # Making the folder is what claims the name: of two runs in one second only one succeeds.
        with suppress(FileExistsError):
            Path(log_dir, candidate).mkdir(parents=True)
            return candidate
        number += 1
        candidate = f"{name}_{number}"


def _now() -> datetime:
    return datetime.now().astimezone()
