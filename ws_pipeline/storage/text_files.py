"""Files of text: read as UTF-8, unpacked if they are packed with gzip."""

from __future__ import annotations

import gzip
import zlib

from upath import UPath

from ws_pipeline.errors import FileFormatError
from ws_pipeline.storage.file_errors import telling_file_errors
from ws_pipeline.storage.files import PathLike
from ws_pipeline.storage.table_endings import GZIP


def read_text(path: PathLike) -> str:
    """Text of a UTF-8 file, without the byte order mark that some programs put before it.

    Parameters
    ----------
    path
        Local path or any fsspec URL; a file whose name ends in .gz is unpacked.

    Raises
    ------
    FileAccessError
        The file cannot be read.
    FileFormatError
        It is not UTF-8, or not packed with gzip although its name says so.
    """
    with telling_file_errors(path, "read"):
        content = UPath(path).read_bytes()
    return decoded(_unpacked(content, path) if str(path).casefold().endswith(GZIP) else content, path)


def decoded(content: bytes, path: PathLike) -> str:
    """The content of a file as text, without a byte order mark.

    Raises
    ------
    FileFormatError
        It is not UTF-8; the message has the line.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as broken:
        line = content[: broken.start].count(b"\n") + 1
        message = f"{path}: line {line} is not UTF-8 text ({broken.reason}); write the file in UTF-8"
        raise FileFormatError(message) from broken


def _unpacked(content: bytes, path: PathLike) -> bytes:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as broken:
        message = (
            f"{path}: not a complete gzip file ({broken}); pack it again, or leave '{GZIP}' out of its name"
        )
        raise FileFormatError(message) from broken
