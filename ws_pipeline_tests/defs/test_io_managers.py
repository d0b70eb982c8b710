from pkgutil import resolve_name

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from ws_pipeline.defs.io_managers import LOADERS, ModelIOManager, ParquetFiles, ParquetIOManager, TensorFiles
from ws_pipeline.errors import FileAccessError, FileFormatError, InvalidInputError
from ws_pipeline.labeling import LabelMatrix, LabelModel
from ws_pipeline.storage.files import ParquetSource

TABLE = pa.table({"example_id": [1, 2], "p_0": [0.25, 0.5]})
SHARDS = dg.DynamicPartitionsDefinition(name="shards")


def materialize(assets, *, base_path, instance=None, raises=True, **options):
    return dg.materialize(
        assets,
        resources={"io_manager": ParquetIOManager(base_path=str(base_path))},
        instance=instance or dg.DagsterInstance.ephemeral(),
        raise_on_error=raises,
        **options,
    )


def sharded_assets(received, annotation):
    @dg.asset(partitions_def=SHARDS)
    def part(context: dg.AssetExecutionContext) -> dg.MaterializeResult[pa.Table]:
        return dg.MaterializeResult(value=pa.table({"shard": [context.partition_key]}))

    def whole(part) -> None:
        received.append(part)

    whole.__annotations__["part"] = annotation
    return [part, dg.asset(whole)]


def test_a_table_comes_back_with_row_count_and_schema_as_metadata(tmp_path):
    @dg.asset
    def labels() -> dg.MaterializeResult[pa.Table]:
        return dg.MaterializeResult(value=TABLE)

    result = materialize([labels], base_path=tmp_path)
    assert pq.read_table(tmp_path / "labels.parquet").equals(TABLE)
    metadata = result.asset_materializations_for_node("labels")[0].metadata
    assert metadata["dagster/row_count"].value == 2
    assert [(c.name, c.type) for c in metadata["dagster/column_schema"].value.columns] == [
        ("example_id", "int64"),
        ("p_0", "double"),
    ]
    assert metadata["path"].value == str(tmp_path / "labels.parquet")


@pytest.mark.parametrize("shards", [[], ["a"], ["b", "a"]])
def test_fan_in_is_a_dict_in_the_order_of_the_keys_for_any_number_of_partitions(tmp_path, shards):
    received = []
    assets = sharded_assets(received, dict[str, pa.Table])
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("shards", shards)
        for shard in shards:
            materialize(
                assets, base_path=tmp_path, instance=instance, selection=["part"], partition_key=shard
            )
        materialize(assets, base_path=tmp_path, instance=instance, selection=["whole"])
    assert list(received[0]) == sorted(shards)
    assert {key: table["shard"].to_pylist() for key, table in received[0].items()} == {s: [s] for s in shards}


def test_a_fan_in_that_is_not_annotated_as_one_is_refused(tmp_path):
    assets = sharded_assets([], pa.Table)
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("shards", ["a", "b"])
        for shard in ("a", "b"):
            materialize(
                assets, base_path=tmp_path, instance=instance, selection=["part"], partition_key=shard
            )
        with pytest.raises(InvalidInputError, match=r"asset part has 2 partitions .* annotate it dict"):
            materialize(assets, base_path=tmp_path, instance=instance, selection=["whole"])


def test_a_partition_that_was_never_materialized_is_named_with_what_to_do(tmp_path):
    assets = sharded_assets([], dict[str, pa.Table])
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("shards", ["late it is"])
        with pytest.raises(dg.Failure) as refused:
            materialize(assets, base_path=tmp_path, instance=instance, selection=["whole"])
    said = str(refused.value.description)
    assert f"part, partition 'late it is', has not been materialized yet: there is no {tmp_path}" in said
    assert "Jobs > ingest > Materialize all, partition late it is" in said
    assert "dg launch --job ingest --partition 'late it is'" in said
    assert "or delete its files" in said


def test_an_asset_that_was_never_materialized_is_named(tmp_path):
    files = ParquetFiles(UPath(tmp_path))
    with pytest.raises(dg.Failure) as refused:
        files._read_one(dg.AssetKey(["task", "labels"]), None, object)
    assert f"task/labels has not been materialized yet: there is no {tmp_path}" in refused.value.description
    assert refused.value.description.endswith("; materialize it first")


@pytest.mark.parametrize("key", ["..", ".", "../../x", "/etc/passwd", "a/b", "v1.0", "ä b", "..."])
def test_no_partition_key_escapes_the_folder_or_meets_another(tmp_path, key):
    files = ParquetFiles(UPath(tmp_path))
    path = files.path_of(dg.AssetKey(["task", "labels"]), key)
    assert str(path.parent) == str(tmp_path / "task" / "labels")
    assert UPath(str(path)).resolve().parent == UPath(tmp_path).resolve() / "task" / "labels"
    others = {"..", ".", "../../x", "/etc/passwd", "a/b", "v1.0", "ä b", "..."} - {key}
    assert path.name not in {files.path_of(dg.AssetKey(["task", "labels"]), other).name for other in others}


def test_tables_live_on_any_file_system():
    @dg.asset
    def labels() -> dg.MaterializeResult[pa.Table]:
        return dg.MaterializeResult(value=TABLE)

    received = []

    @dg.asset
    def reader(labels: pa.Table) -> None:
        received.append(labels)

    materialize([labels, reader], base_path="memory://bucket/store")
    assert received[0].equals(TABLE)
    assert UPath("memory://bucket/store/labels.parquet").exists()


def test_values_encode_themselves_and_files_are_read_as_annotated(tmp_path):
    files = ParquetFiles(UPath(tmp_path))
    matrix = LabelMatrix([[0, -1, 1]], 2, ["x"], ["a", "b", "c"])
    path = UPath(tmp_path / "m.parquet")
    files.write(matrix, path)
    assert files.read(path, LabelMatrix) == matrix
    assert files.read(path, ParquetSource).read(["a"]).to_pydict() == {"a": [0]}
    assert files.read(path, object).column_names == ["example_id", "a", "b", "c"]
    import pandas as pd

    assert isinstance(files.read(path, pd.DataFrame), pd.DataFrame)
    files.write(pd.DataFrame({"u": [1]}), path)
    assert files.read(path, pa.Table).to_pydict() == {"u": [1]}


def test_what_is_no_table_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match=r"a table is expected .* got int"):
        ParquetFiles(UPath(tmp_path)).write(3, UPath(tmp_path / "x.parquet"))


def test_a_write_that_fails_leaves_the_last_good_file(tmp_path, monkeypatch):
    files, path = ParquetFiles(UPath(tmp_path)), UPath(tmp_path / "t.parquet")
    files.write(TABLE, path)
    before = path.read_bytes()

    def half(_table, stream, **_options):
        stream.write(b"PAR1 half a file")
        message = "disk full"
        raise OSError(message)

    monkeypatch.setattr(pq, "write_table", half)
    with pytest.raises(OSError, match="disk full"):
        files.write(TABLE.slice(1), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["t.parquet"]


def test_models_come_back_and_foreign_files_do_not(tmp_path):
    files = TensorFiles(UPath(tmp_path), LOADERS)
    votes = np.random.default_rng(0).integers(-1, 2, (30, 3))
    model = LabelModel(verbose=False).fit(votes, progress_bar=False)
    path = UPath(tmp_path / "model.safetensors")
    assert files.write(model, path) == {"bytes": path.stat().st_size}
    assert np.array_equal(files.read(path, object).mu, model.mu)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(FileFormatError, match=r"model\.safetensors"):
        files.read(path, object)
    path.write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    with pytest.raises(FileFormatError, match="holds an unknown format, expected one of ws_pipeline"):
        files.read(path, object)


def test_every_loader_exists():
    for reference in LOADERS.values():
        assert callable(resolve_name(reference))


def test_the_model_io_manager_is_configured_by_a_folder(tmp_path):
    manager = ModelIOManager(base_path=str(tmp_path)).create_io_manager(dg.build_init_resource_context())
    assert str(manager.path_of(dg.AssetKey("m"))) == str(tmp_path / "m.safetensors")


@pytest.mark.parametrize("folder", ["storage", "storage/deep"])
def test_a_storage_that_is_a_file_is_told(folder, tmp_path):
    (tmp_path / "storage").touch()

    @dg.asset
    def labels() -> dg.MaterializeResult[pa.Table]:
        return dg.MaterializeResult(value=TABLE)

    with pytest.raises(FileAccessError) as refused:
        materialize([labels], base_path=tmp_path / folder)
    assert str(refused.value) == (
        f"{tmp_path / folder / 'labels.parquet'}: '{tmp_path / 'storage'}' is a file, expected a folder; "
        "move the file away, or choose another path"
    )
