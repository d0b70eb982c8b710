"""Folders and files that a pipeline.yaml stands for: which URLs can be read, which names shards may have."""

from collections.abc import Iterable, Mapping

import fsspec  # type: ignore[import-untyped]
from upath import UPath

from ws_pipeline.errors import PipelineSpecError, SettingsError
from ws_pipeline.settings.base import nearest
from ws_pipeline.storage.file_errors import telling_file_errors
from ws_pipeline.storage.file_stamps import BEING_WRITTEN, stamps_in
from ws_pipeline.storage.table_endings import ENDINGS, ENDINGS_TEXT, PARQUET, ending_of

Listing = Mapping[str, Mapping[str, str]]
"""Folder to the names of its files, and these to what changes when a file does."""

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
        stamps = stamps_in(folder, suffix=ENDINGS)
    return {
        name: stamp for name, stamp in stamps.items() if not name.startswith(".") and stamp != BEING_WRITTEN
    }


def files_of_shards(file_names: Iterable[str]) -> dict[str, list[str]]:
    """Shard to the files of a folder that are named after it, sorted; it should be one."""
    found: dict[str, list[str]] = {}
    for name in sorted(file_names):
        shard = name.removesuffix(ending_of(name) or name)
        if _is_shard(shard):
            found.setdefault(shard, []).append(name)
    return found


def shards_among(file_names: Iterable[str]) -> set[str]:
    """Names of the shards that files are named after."""
    return set(files_of_shards(file_names))


def complete_shards(files: Listing) -> list[str]:
    """Names of the shards that have exactly one file in each of the folders, sorted."""
    single = (
        {shard for shard, names in files_of_shards(of_place).items() if len(names) == 1}
        for of_place in files.values()
    )
    return sorted(set.intersection(*single))


def file_of_shard(folder: UPath, shard: str) -> UPath:
    """The file of a shard in a folder, whatever its ending; where there is none, that of a Parquet file.

    Raises
    ------
    PipelineSpecError
        The name is none of a shard, or there are two files of it.
    """
    names = [check_shard(shard) + ending for ending in ENDINGS]
    there = [name for name in names if (folder / name).exists()]
    if len(there) > 1:
        message = f"{folder}: {why_two_files(shard, there)}"
        raise PipelineSpecError(message)
    return folder / (there[0] if there else shard + PARQUET)


def why_two_files(shard: str, names: Iterable[str]) -> str:
    """Explain why a shard with several files in one folder is refused."""
    return f"shard '{shard}' has several files, {' and '.join(sorted(names))}; keep one of them"


def why_no_shard(file_name: str) -> str:
    """Explain why a file, none of those of :func:`shards_among`, belongs to no shard."""
    ending = ending_of(file_name)
    if ending is None:
        return f"its name does not end in {ENDINGS_TEXT}"
    return _name_rule(file_name.removesuffix(ending))


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
