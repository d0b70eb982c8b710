"""Which files in the folders of a pipeline make shards, and what is wrong with the others."""

from ws_pipeline.defs.spec.data_folder import Listing, files_of_shards, why_no_shard, why_two_files
from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec
from ws_pipeline.errors import InvalidInputError
from ws_pipeline.storage.table_endings import ENDINGS_TEXT, PARQUET, ending_of


def skipped_files(spec: PipelineSpec, files: Listing | None = None) -> dict[str, str]:
    """Files in the pipeline's folders that are no part of a shard.

    Parameters
    ----------
    spec
        The pipeline.
    files
        What is in its folders.  Default: they are listed.

    Returns
    -------
    dict
        Path of a file below ``spec.folder`` to the reason.  A shard that is incomplete is there once,
        under the first of its files.  Files whose names start with a dot are those of other programs.
    """
    files = spec.list_files() if files is None else files
    by_place = {place: files_of_shards(names) for place, names in files.items()}
    skipped = files_of_no_shard(files) | doubled_files(files)
    for shard in set().union(*by_place.values()):
        there = [f"{place}/{names[shard][0]}" for place, names in by_place.items() if shard in names]
        missing = missing_files(files, shard)
        if missing and there[0] not in skipped:
            skipped[there[0]] = f"the shard is not complete, missing {', '.join(missing)}"
    return dict(sorted(skipped.items()))


def files_of_no_shard(files: Listing) -> dict[str, str]:
    """Files whose names make no shard, with the reason."""
    return {
        f"{place}/{name}": why_no_shard(name)
        for place, names in files.items()
        for name in names.keys() - {name for of_shard in files_of_shards(names).values() for name in of_shard}
    }


def doubled_files(files: Listing) -> dict[str, str]:
    """Files of shards that have several in one folder, with the reason why they are refused."""
    return {
        f"{place}/{name}": why_two_files(shard, of_shard)
        for place, names in files.items()
        for shard, of_shard in files_of_shards(names).items()
        for name in of_shard
        if len(of_shard) > 1
    }


def missing_files(files: Listing, shard: str) -> list[str]:
    """Files that a shard lacks, with the ending of one that it has."""
    by_place = {place: files_of_shards(names).get(shard, []) for place, names in files.items()}
    there = [name for names in by_place.values() for name in names]
    ending = ending_of(there[0]) if there else PARQUET
    return [f"{place}/{shard}{ending}" for place, names in by_place.items() if not names]


def require_shards(spec: PipelineSpec, files: Listing | None = None) -> list[str]:
    """Names of the shards whose files are all there, at least one; see :meth:`PipelineSpec.find_shards`.

    Raises
    ------
    InvalidInputError
        There is none, and the message says which files make one; or a shard has two files in one folder.
    """
    files = spec.list_files() if files is None else files
    for file, reason in doubled_files(files).items():
        message = f"{spec.origin}/{file}: {reason}"
        raise InvalidInputError(message)
    shards = spec.find_shards(files)
    if not shards:
        wanted = ", ".join(f"{place}/<shard>.parquet" for place in spec.places)
        message = (
            f"{spec.where}: there is no complete shard in {spec.origin}; a shard is the files {wanted}; put "
            f"them there, or say with the key 'data' where they are; names may end in {ENDINGS_TEXT}"
        )
        raise InvalidInputError(message)
    return shards
