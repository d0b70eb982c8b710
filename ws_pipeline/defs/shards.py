"""Shards on disk, and which of them have been ingested as they are now."""

import dagster as dg
from upath import UPath

from ws_pipeline.defs.spec import PipelineSpec


def fingerprint(path: UPath) -> str:
    """Short text that changes when a file changes; made from its size, times or ETag, not its bytes."""
    return str(path.fs.ukey(path.path))[:16]


def shard_fingerprint(spec: PipelineSpec, shard: str) -> str:
    """Fingerprints of all files of a shard, in the order of ``spec.shard_files``."""
    return "-".join(fingerprint(path) for path in spec.shard_files(shard))


def register_shards(spec: PipelineSpec, instance: dg.DagsterInstance) -> list[str]:
    """Add a partition for every shard whose files are all there; return the new ones."""
    known = set(instance.get_dynamic_partitions(spec.shards_name))
    new = [shard for shard in spec.find_shards() if shard not in known]
    if new:
        instance.add_dynamic_partitions(spec.shards_name, new)
    return new


def ingested_fingerprint(spec: PipelineSpec, instance: dg.DagsterInstance, shard: str) -> str:
    """What :func:`shard_fingerprint` was when the shard was ingested last, part by part.

    Parts that were never ingested are '?'.
    """
    keys = [spec.key("examples"), *(spec.key(task, "label_matrix") for task in spec.tasks)]
    return "-".join(_recorded_fingerprint(instance, key, shard) for key in keys)


def _recorded_fingerprint(instance: dg.DagsterInstance, key: dg.AssetKey, shard: str) -> str:
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=key, asset_partitions=[shard]), limit=1
    ).records
    materialization = records[0].asset_materialization if records else None
    value = materialization.metadata.get("source_fingerprint") if materialization else None
    return str(value.value) if value else "?"
