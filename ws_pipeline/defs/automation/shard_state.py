"""Shards: which files are there, which partitions, and what has been ingested and trained on.

A shard is ingested again when its files change, or what the pipeline.yaml says about reading them: the
tasks with their numbers of classes, the feature, text and LF columns.  What was ingested and trained on is
read from the materializations themselves, each of which has a fingerprint of what it was made from as its
data version, so that one query gives it for all shards.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from ws_pipeline.defs.spec.data_folder import Listing, files_of_shards, why_two_files
from ws_pipeline.defs.spec.multi_label_tasks import LabelTaskSpec, classes_as_written, classes_in_files
from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec
from ws_pipeline.defs.spec.shard_listing import missing_files
from ws_pipeline.defs.spec.shard_tables import stamp_of_shard
from ws_pipeline.defs.spec.task_spec import VotesSpec
from ws_pipeline.errors import ExamplesError
from ws_pipeline.example_ids import ID_COLUMN
from ws_pipeline.examples import Examples
from ws_pipeline.labeling.functions.lf_fingerprint import lf_fingerprint
from ws_pipeline.labeling.votes.vote_counts import VoteCounts
from ws_pipeline.storage.files import ParquetSource


class ShardChanges(NamedTuple):
    """Differences between the files of a pipeline and its partitions.

    Parameters
    ----------
    new
        Shards whose files are all there, and that are no partitions yet.
    incomplete
        Partition to those of its files that are missing, while others are there.
    gone
        Partitions of which no file is left.
    doubled
        Partition that has several files in one folder to the words that say so.
    """

    new: list[str]
    incomplete: dict[str, list[str]]
    gone: list[str]
    doubled: Mapping[str, str] = MappingProxyType({})


def shard_changes(spec: PipelineSpec, files: Listing, known: Collection[str]) -> ShardChanges:
    """Compare the files with the partitions.

    Without any complete shard nothing has changed: a folder that cannot be reached for a moment looks
    the same as one that was emptied.

    Parameters
    ----------
    spec
        The pipeline.
    files
        What is in its folders, see :meth:`PipelineSpec.list_files`.
    known
        The partitions.
    """
    complete, partitions = spec.find_shards(files), set(known)
    if not complete:
        return ShardChanges([], {}, [])
    missing = {shard: missing_files(files, shard) for shard in sorted(partitions - set(complete))}
    gone = [shard for shard, names in missing.items() if len(names) == len(files)]
    incomplete = {shard: names for shard, names in missing.items() if 0 < len(names) < len(files)}
    doubled = {shard: _two_files(files, shard) for shard, names in missing.items() if not names}
    return ShardChanges([shard for shard in complete if shard not in partitions], incomplete, gone, doubled)


def _two_files(files: Listing, shard: str) -> str:
    """Say which files a shard has in a folder that should have one of it."""
    for place, names in files.items():
        of_shard = files_of_shards(names)[shard]
        if len(of_shard) > 1:
            return why_two_files(shard, [f"{place}/{name}" for name in of_shard])
    return ""


def register_shards(spec: PipelineSpec, instance: dg.DagsterInstance) -> ShardChanges:
    """Add a partition for every shard whose files are all there, and remove those without any file.

    What was ingested of a removed shard stays in the storage, and counts again if its files come back.
    """
    changes = shard_changes(spec, spec.list_files(), instance.get_dynamic_partitions(spec.shards_name))
    for shards in portions(changes.new):
        instance.add_dynamic_partitions(spec.shards_name, shards)
    for shard in changes.gone:
        instance.delete_dynamic_partition(spec.shards_name, shard)
    return changes


def portions(shards: Sequence[str], size: int = 1000) -> Iterator[Sequence[str]]:
    """The shards in lists of a size that a database takes as values of one query."""
    return (shards[start : start + size] for start in range(0, len(shards), size))


_DIGITS = 6  # of a fingerprint that tell the classes, and as many before them the other settings


def digest(*values: Any) -> str:
    """Short text of plain values; equal values give the same."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def fingerprint(stamp: str, reading: str) -> str:
    """Short text that changes when a file changes, or a setting that it is read with.

    Parameters
    ----------
    stamp
        Of the file, see :mod:`ws_pipeline.storage.file_stamps`.
    reading
        Digest of the settings; ends the text.
    """
    return hashlib.sha256(stamp.encode()).hexdigest()[:12] + reading


def _examples_reading(spec: PipelineSpec) -> str:
    # nothing is added where there are no texts, so that what was ingested before there were any stays valid
    more = [found for found in (sorted(spec.features), spec.column_types) if found]
    return _reading(classes_as_written(spec.tasks), spec.columns, *more)


def _votes_reading(spec: PipelineSpec, task: str) -> str:
    task_spec = spec.tasks[task]
    in_files = task_spec.labeling_functions is None
    votes = _vote_settings(task_spec.votes) if in_files else _functions(spec, task)
    of_ids = spec.column_types.get(ID_COLUMN)
    more = [
        *([list(task_spec.superclasses.items())] if task_spec.superclasses else []),
        *([of_ids] if of_ids and in_files else []),
        *([task_spec.label, task_spec.label_lists] if isinstance(task_spec, LabelTaskSpec) else []),
    ]
    return _reading(classes_in_files(task_spec), task_spec.lf_columns, list(spec.tasks), votes, *more)


def _vote_settings(votes: VotesSpec) -> dict[str, Any]:
    """Settings of votes files; those that came later only where they are set, as for texts."""
    later, of_columns = {"scores", "score_suffix"}, {"score", "time"}
    old = votes.model_dump(exclude=later | {"columns", "score_bins"})  # scores are stored, not their bins
    columns = votes.columns.model_dump(exclude=of_columns)
    columns |= votes.columns.model_dump(include=of_columns, exclude_defaults=True)
    return {**old, "columns": columns, **votes.model_dump(include=later, exclude_defaults=True)}


def _functions(spec: PipelineSpec, task: str) -> list[tuple[str, str]]:
    """Labeling functions of a task by name, and what tells that one of them has changed."""
    return [(lf.name, lf_fingerprint(lf)) for lf in spec.functions_of(task)]


def _reading(classes: Any, *others: Any) -> str:
    """Digest of the settings that a file is read with, which ends with that of the names of the classes."""
    return digest(*others)[:_DIGITS] + digest(classes)[:_DIGITS]


def examples_fingerprint(spec: PipelineSpec, shard: str) -> str:
    """Fingerprint of all that the examples of a shard are made of: file, tasks and feature columns."""
    return fingerprint(stamp_of_shard(spec.examples_path(shard)), _examples_reading(spec))


def votes_fingerprint(spec: PipelineSpec, task: str, shard: str) -> str:
    """Fingerprint of all that the votes of a shard on a task are made of.

    The file, the number of classes, the LF columns, and the tasks, whose columns hold no votes; or the file
    of the examples and the labeling functions that vote on them.
    """
    return fingerprint(stamp_of_shard(spec.votes_path(task, shard)), _votes_reading(spec, task))


def shard_fingerprints(spec: PipelineSpec, files: Listing, shards: Iterable[str]) -> dict[str, str]:
    """Fingerprints of the shards as their files are now: examples, then the votes on every task."""
    readings = [_examples_reading(spec), *(_votes_reading(spec, task) for task in spec.tasks)]
    places = ["examples", *map(spec.place_of_votes, spec.tasks)]
    stamps = {place: _stamps_of_shards(names) for place, names in files.items()}
    parts = list(zip((stamps[place] for place in places), readings, strict=True))
    return {
        shard: "-".join(fingerprint(of_shard[shard], reading) for of_shard, reading in parts)
        for shard in shards
    }


def _stamps_of_shards(names: Mapping[str, str]) -> dict[str, str]:
    """Shard to the stamp of its file."""
    return {shard: names[files[0]] for shard, files in files_of_shards(names).items()}


def ingested_shards(
    spec: PipelineSpec, instance: dg.DagsterInstance, shards: Iterable[str]
) -> dict[str, str]:
    """Fingerprints of the shards as they were ingested last, part by part.

    Parts that were never ingested are '?'.  Those that were ingested before the fingerprint was the data
    version have another one, so that they count as changed.
    """
    keys = [spec.key("examples"), *(spec.key(task, "label_matrix") for task in spec.tasks)]
    versions = [_data_versions(instance, key) for key in keys]
    return {shard: "-".join(of_part.get(shard, "?") for of_part in versions) for shard in sorted(shards)}


def stale_shards(spec: PipelineSpec, files: Listing, ingested: Mapping[str, str]) -> dict[str, str]:
    """Those of the shards that are not ingested as they are now, with the fingerprint that they have now."""
    there = [shard for shard in spec.find_shards(files) if shard in ingested]
    now = shard_fingerprints(spec, files, there)
    return {shard: found for shard, found in now.items() if ingested[shard] != found}


def all_shards_fingerprint(ingested: Mapping[str, str]) -> str:
    """Fingerprint of all that a retrain reads: the shards, each as it was ingested."""
    return digest(dict(ingested))


def trained_fingerprint(spec: PipelineSpec, instance: dg.DagsterInstance) -> str | None:
    """Fingerprint of all shards when the models were last trained; None if they never were.

    The asset ``shards`` records it, before any model is fitted; a model that is older than that was not
    trained on it, because the run failed in between.
    """
    shards = _last_materialization(instance, spec.key("shards"))
    end_model = [spec.key("multitask_classifier")] if spec.model else []
    for key in [*(spec.key(task, "label_model") for task in spec.tasks), *end_model, spec.key("scores")]:
        made = _last_materialization(instance, key)
        if shards is None or made is None or made.storage_id < shards.storage_id:
            return None
    return _recorded(shards, "shards_fingerprint")


def shard_warnings(
    spec: PipelineSpec, instance: dg.DagsterInstance, ingested: Mapping[str, str]
) -> list[str]:
    """Warnings about shards whose files are no longer as they were ingested.

    Training reads what was ingested, so files that cannot be looked at are no reason to stop it.
    """
    try:
        files = spec.list_files()
    except OSError as problem:
        return [f"the files in {spec.origin} cannot be looked at ({problem})"]
    changes = shard_changes(spec, files, instance.get_dynamic_partitions(spec.shards_name))
    return [
        *(f"shard '{shard}' has no file left in {spec.origin}" for shard in changes.gone),
        *(f"shard '{shard}' lost {', '.join(files)}" for shard, files in changes.incomplete.items()),
        *changes.doubled.values(),
        *(
            f"files or settings of shard '{shard}' changed since it was ingested"
            for shard in stale_shards(spec, files, ingested)
        ),
    ]


def check_settings_of_shards(
    spec: PipelineSpec,
    examples: Mapping[str, ParquetSource],
    counts: Mapping[str, Mapping[str, VoteCounts]],
    ingested: Mapping[str, str],
) -> None:
    """Refuse shards that were ingested with other tasks, classes or columns than the spec has.

    Parameters
    ----------
    spec
        The pipeline.
    examples
        Shard to the stored table of its examples, of which only the columns' names are read.
    counts
        Task to shard to vote counts.
    ingested
        See :func:`ingested_shards`.

    Raises
    ------
    ExamplesError
        The message names the shards, what differs, and how to ingest them again.
    """
    differences = {
        shard: _differences(spec, source, {task: counts[task][shard] for task in spec.tasks})
        or _other_settings(spec, ingested[shard])
        for shard, source in examples.items()
    }
    wrong = {shard: found for shard, found in differences.items() if found}
    if wrong:
        shown = "; ".join(f"shard '{shard}' has {', '.join(found)}" for shard, found in wrong.items())
        message = (
            f"{shown}: ingested before the pipeline.yaml changed; ingest again, with the job "
            f"'{spec.job_name('ingest')}' for {', '.join(wrong)}, or by switching on the sensor "
            f"'{spec.job_name('new_shards')}'"
        )
        raise ExamplesError(message)


def _differences(spec: PipelineSpec, source: ParquetSource, counts: dict[str, VoteCounts]) -> list[str]:
    """Differences between a stored shard, with the counts of its votes, and the pipeline.yaml."""
    stored = Examples.from_table(source.schema.empty_table())
    voted = {task: of_task.cardinality for task, of_task in counts.items()}
    found = []
    if stored.cardinalities != spec.cardinalities:
        of_gold = _classes(stored.cardinalities)
        found.append(f"gold labels of {of_gold} instead of {_classes(spec.cardinalities)}")
    if voted != spec.cardinalities:
        found.append(f"votes on {_classes(voted)} instead of {_classes(spec.cardinalities)}")
    if spec.columns is not None and set(stored.features) != set(spec.columns) and source.n_rows:
        found.append(f"feature columns {list(stored.features)} instead of {spec.columns}")
    if set(stored.texts) != set(spec.features):
        found.append(f"text columns {list(stored.texts)} instead of {list(spec.features)}")
    for task, of_task in counts.items():
        listed = spec.tasks[task].lf_columns
        if listed is not None and list(of_task.lf_names) != listed:
            found.append(f"LF columns {list(of_task.lf_names)} of '{task}' instead of {listed}")
    return found


def _other_settings(spec: PipelineSpec, ingested: str) -> list[str]:
    """What of a shard was read with other settings, such as another order of the classes."""
    examples, *votes = ingested.split("-")
    if len(votes) != len(spec.tasks):
        return []  # versions that were made before they were fingerprints
    reading = _examples_reading(spec)
    found = []
    if len(examples) == len(fingerprint("", reading)) and examples[-_DIGITS:] != reading[-_DIGITS:]:
        found.append("other names or another order of the classes")
    for task, part in zip(spec.tasks, votes, strict=True):
        reading = _votes_reading(spec, task)
        if len(part) == len(fingerprint("", reading)) and not part.endswith(reading):
            how = "made by other labeling functions, or " if spec.tasks[task].labeling_functions else ""
            found.append(f"votes of '{task}' that were {how}read with other classes, lf_columns or columns")
    return found


def _classes(cardinalities: Mapping[str, int]) -> str:
    return ", ".join(f"'{task}' with {k} classes" for task, k in cardinalities.items())


def _data_versions(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[str, str]:
    """Partition to the data version of its last materialization, in one query."""
    tags = instance.event_log_storage.get_latest_tags_by_partition(
        key, dg.DagsterEventType.ASSET_MATERIALIZATION, [DATA_VERSION_TAG]
    )
    return {shard: of_shard[DATA_VERSION_TAG] for shard, of_shard in tags.items()}


def last_run_of_shard(instance: dg.DagsterInstance, key: dg.AssetKey, shard: str) -> str | None:
    """Id of the run that materialized an asset of a shard last; None if none did."""
    wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[shard])
    records = instance.fetch_materializations(wanted, limit=1).records
    return records[0].run_id if records else None


def _last_materialization(instance: dg.DagsterInstance, key: dg.AssetKey) -> dg.EventLogRecord | None:
    records = instance.fetch_materializations(key, limit=1).records
    return records[0] if records else None


def _recorded(record: dg.EventLogRecord | None, name: str) -> str | None:
    """A text in the metadata of a materialization."""
    materialization = record.asset_materialization if record else None
    value = materialization.metadata.get(name) if materialization else None
    return str(value.value) if value else None
