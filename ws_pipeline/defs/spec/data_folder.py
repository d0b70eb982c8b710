"""Folders and files that a pipeline.yaml stands for: which URLs can be read, which names shards may have."""

from collections.abc import Iterable

import fsspec  # type: ignore[import-untyped]
from upath import UPath

from ws_pipeline.errors import PipelineSpecError, SettingsError
from ws_pipeline.settings.base import nearest
from ws_pipeline.storage.file_errors import telling_file_errors
from ws_pipeline.storage.file_stamps import BEING_WRITTEN, stamps_in

SUFFIX = ".parquet"
_NOT_IN_SHARDS = ("/", "\\", "...", "::")  # the last two: a range of partitions, a chain of file systems


def check_folder(folder: str) -> str:
    """Return a path or URL if there is a file system for it; nothing is looked for there.

    Raises
    ------
    SettingsError
        The URL's scheme is unknown, or a package is missing that its file system needs.
    """
    try:
        fsspec.get_filesystem_class(UPath(folder).protocol)
    except ValueError:
        scheme = folder.partition("://")[0]
        hint = nearest(scheme, fsspec.available_protocols())
        message = f"'{folder}' begins with an unknown scheme '{scheme}', {hint}"
        raise SettingsError(message) from None
    except ImportError as missing:
        message = f"'{folder}' needs a package that is not there: {missing}"
        raise SettingsError(message) from missing
    return folder


def visible_files(folder: UPath) -> dict[str, str]:
    """Names of the files in a folder and their stamps, without those of a writer at work.

    A table that Spark writes is a folder of files; it counts as one file once it is complete.

    Raises
    ------
    FileAccessError
        The folder cannot be listed, or is a file.
    """
    with telling_file_errors(folder, "list"):
        stamps = stamps_in(folder, suffix=SUFFIX)
    return {
        name: stamp for name, stamp in stamps.items() if not name.startswith(".") and stamp != BEING_WRITTEN
    }


def shards_among(file_names: Iterable[str]) -> set[str]:
    """Names of the shards that files are named after."""
    names = {name.removesuffix(SUFFIX) for name in file_names if name.endswith(SUFFIX)}
    return {name for name in names if _is_shard(name)}


def why_no_shard(file_name: str) -> str:
    """Explain why a file, none of those of :func:`shards_among`, belongs to no shard."""
    if not file_name.endswith(SUFFIX):
        return f"its name does not end in '{SUFFIX}'"
    return _name_rule(file_name.removesuffix(SUFFIX))


def check_shard(shard: str) -> str:
    """Refuse a shard name that could leave the data folder."""
    if not _is_shard(shard):
        message = f"{_name_rule(shard)}; shards are named after their files in examples/"
        raise PipelineSpecError(message)
    return shard


def _is_shard(name: str) -> bool:
    """Whether a name is one for a partition in Dagster, and for a file in the data folder."""
    allowed = name.isprintable() and not any(text in name for text in _NOT_IN_SHARDS)
    return allowed and name != "" and not name.startswith(".")


def _name_rule(name: str) -> str:
    return (
        f"{name!r} is not a shard name: use letters, digits and other printable characters except '/' and "
        "'\\', no '...' or '::', and not a dot first"
    )
