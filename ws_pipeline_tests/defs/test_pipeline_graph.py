"""The asset graph as a person sees it in the UI: every key with its arrows, group, kind and version."""

import pytest
import yaml

from ws_pipeline.defs.pipeline import build_definitions
from ws_pipeline.defs.spec.pipeline_file import load_spec
from ws_pipeline.errors import PipelineSpecError

TASKS = ["shape", "parity"]

# asset: what it depends on, kind, code version; of a task's assets the task is left out
OF_PIPELINE = {
    "examples": ([], "parquet", "2"),
    "shards": (["*/label_matrix", "*/vote_counts", "examples"], "parquet", "2"),
    "train_dataset": (["*/majority_vote", "*/probabilistic_labels", "examples"], "torch", "2"),
    "valid_dataset": (["*/probabilistic_labels", "examples"], "torch", "2"),
    "test_dataset": (["*/probabilistic_labels", "examples"], "torch", "2"),
    "multitask_classifier": (["train_dataset", "valid_dataset"], "torch", "2"),
    "predictions": (["examples", "multitask_classifier"], "parquet", "1"),
    "scores": (["*/majority_vote", "*/probabilistic_labels", "examples", "predictions"], "parquet", "2"),
}
OF_TASK = {
    "label_matrix": (["examples"], "parquet", "2"),
    "vote_counts": (["label_matrix"], "parquet", "1"),
    "lf_summary": (["examples", "label_matrix", "shards", "vote_counts"], "parquet", "1"),
    "majority_vote": (["label_matrix", "shards"], "parquet", "2"),
    "label_model": (["examples", "label_matrix", "shards", "vote_counts"], "torch", "3"),
    "label_model_comparison": (["label_model"], "parquet", "1"),
    "lf_families": (["label_matrix", "label_model"], "parquet", "1"),
    "probabilistic_labels": (["label_matrix", "label_model"], "parquet", "3"),
    "least_sure": (["label_matrix", "label_model", "probabilistic_labels"], "parquet", "1"),
    "label_next": (["examples", "label_matrix", "predictions", "probabilistic_labels"], "parquet", "1"),
}


def expected(prefix=(), *, owners=(), tags=None):
    """What the pipeline "toy" has to look like, by key."""

    def named(key):
        return "/".join([*prefix, key])

    def of_task(task, name):
        return f"{task}/{name}" if name in OF_TASK else name

    def look(reads, group, kind, version):
        return {"reads": sorted(map(named, reads)), "group": group, "kinds": {kind}, "version": version}

    looks = {}
    for name, (reads, kind, version) in OF_PIPELINE.items():
        every = [read.replace("*", task) for read in reads for task in (TASKS if "*" in read else [""])]
        group = "toy" if name in {"examples", "shards"} else "toy_end_model"
        looks[named(name)] = look(every, group, kind, version)
    for task in TASKS:
        for name, (reads, kind, version) in OF_TASK.items():
            every = [of_task(task, read) for read in reads]
            group = "toy_end_model" if name == "label_next" else f"toy_{task}"
            looks[named(f"{task}/{name}")] = look(every, group, kind, version)
    return {key: {**value, "owners": list(owners), "tags": tags or {}} for key, value in looks.items()}


def found(definitions):
    graph = definitions.resolve_asset_graph()
    return {
        node.key.to_user_string(): {
            "reads": sorted(key.to_user_string() for key in node.parent_keys),
            "group": node.group_name,
            "kinds": {name.removeprefix("dagster/kind/") for name in node.tags if "dagster/kind/" in name},
            "version": node.code_version,
            "owners": list(node.owners),
            "tags": {name: value for name, value in node.tags.items() if "dagster/" not in name},
        }
        for node in (graph.get(key) for key in graph.get_all_asset_keys())
    }


def build(*specs):
    return build_definitions(list(specs), storage="memory://storage")


def edited(folder, **keys):
    spec = yaml.safe_load(folder.spec_path.read_text())
    folder.spec_path.write_text(yaml.safe_dump(spec | keys))
    return folder.spec_path


def test_every_asset_has_its_arrows_group_kind_and_version(pipeline_folder):
    assert found(build(load_spec(pipeline_folder.spec_path))) == expected()


def test_a_prefix_is_before_every_key_and_not_in_the_group(pipeline_folder):
    spec = load_spec(edited(pipeline_folder, prefix="mine"))
    assert found(build(spec)) == expected(("mine",))


def test_without_an_end_model_the_graph_ends_with_the_scores_of_the_labels(pipeline_folder):
    graph = found(build(load_spec(edited(pipeline_folder, model=None, trainer={}))))
    gone = {f"{split}_dataset" for split in ("train", "valid", "test")}
    gone |= {"multitask_classifier", "predictions"}
    whole = expected()
    whole["scores"]["reads"].remove("predictions")
    whole["scores"]["group"] = "toy"
    for task in TASKS:
        whole[f"{task}/label_next"]["reads"].remove("predictions")
        whole[f"{task}/label_next"]["group"] = f"toy_{task}"
    assert graph == {key: value for key, value in whole.items() if key not in gone}


def test_owners_are_on_every_asset_and_tags_on_every_asset_and_job(pipeline_folder):
    owners, tags = ["team:labels", "ann@example.org"], {"domain": "vision", "cost/centre": "7"}
    definitions = build(load_spec(edited(pipeline_folder, owners=owners, tags=tags)))
    assert found(definitions) == expected(owners=owners, tags=tags)
    for name in ("ingest", "retrain"):
        job = definitions.resolve_job_def(name)
        assert {key: value for key, value in job.tags.items() if "dagster/" not in key} == tags


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("owners", ["Ann"], "owners: 'Ann' is no owner; give an e-mail address, or a team as 'team:<name>'"),
        ("owners", "team:labels", "owners: .*list"),
        ("tags", {"a b": "c"}, "tags: .*invalid tag keys: .'a b'.*Allowed characters"),
        ("tags", {"a": "b c!"}, "tags: Invalid tag value: b c!, for key: a"),
        ("tags", ["a"], "tags: .*dict"),
    ],
)
def test_owners_and_tags_that_dagster_would_refuse_name_the_file_and_the_key(
    pipeline_folder, key, value, said
):
    path = edited(pipeline_folder, **{key: value})
    with pytest.raises(PipelineSpecError, match=rf"pipeline.yaml: {said}"):
        load_spec(path)


def test_a_task_shares_its_name_with_an_asset_of_the_pipeline(pipeline_folder):
    """Keys of a task begin with its name, so that none is taken for an asset of all tasks."""
    spec = yaml.safe_load(pipeline_folder.spec_path.read_text())
    spec["tasks"] = {"scores": spec["tasks"]["shape"], "label_model": spec["tasks"]["parity"]}
    graph = found(build(load_spec(edited(pipeline_folder, tasks=spec["tasks"]))))
    assert graph["scores/majority_vote"]["group"] == "toy_scores"
    assert graph["label_model/label_model"]["reads"] == [
        *("examples", "label_model/label_matrix", "label_model/vote_counts", "shards"),
    ]
    assert {"scores", "label_model/label_model", "scores/label_model"} < graph.keys()


def test_assets_of_two_pipelines_are_apart(pipeline_folder):
    spec = load_spec(pipeline_folder.spec_path)
    other = load_spec(edited(pipeline_folder, name="other", prefix="other"))
    merged = found(build(spec, other))
    assert {look["group"] for look in merged.values()} == {
        *("toy", "toy_shape", "toy_parity", "toy_end_model"),
        *("other", "other_shape", "other_parity", "other_end_model"),
    }
    assert len(merged) == 2 * len(expected())
