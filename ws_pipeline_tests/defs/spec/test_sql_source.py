"""Examples and votes from tables of a database: shards, changes, secrets, nothing written."""

import datetime as dt
import os
import sqlite3

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from ws_pipeline.cli import main
from ws_pipeline.defs.assets.ingest import read_votes
from ws_pipeline.defs.automation.shard_state import (
    examples_fingerprint,
    shard_changes,
    shard_fingerprints,
    votes_fingerprint,
)
from ws_pipeline.defs.spec.pipeline_file import load_spec
from ws_pipeline.defs.spec.shard_listing import skipped_files
from ws_pipeline.defs.spec.shard_tables import examples_file
from ws_pipeline.errors import (
    FileAccessError,
    FileFormatError,
    MissingFileError,
    MissingPackageError,
    PipelineSpecError,
    SettingsError,
)

sa = pytest.importorskip("sqlalchemy", reason="tables of a database need SQLAlchemy")

POSTGRES = "WS_PIPELINE_POSTGRES"  # URL of a database in which tables may be made and dropped
DAYS = [dt.date(2026, 11, 1), dt.date(2026, 11, 2)]
SOURCE = {
    "examples": "examples",
    "votes": {"spam": "SELECT * FROM votes WHERE source <> 'a:b';"},
    "shard_column": "day",
    "version_column": "version",
}
SPAM = {"classes": ["ham", "spam"], "votes": {"format": "long"}}


def make_tables(engine):
    metadata = sa.MetaData()
    both = {"day": sa.Date, "version": sa.Integer}
    columns = {
        "examples": {
            "example_id": sa.Integer,
            "split": sa.Text,
            "text": sa.Text,
            "size": sa.Float,
            "spam": sa.Text,
        },
        "votes": {"example_id": sa.Integer, "source": sa.Text, "label": sa.Text},
    }
    tables = {
        name: sa.Table(name, metadata, *(sa.Column(*column) for column in (of | both).items()))
        for name, of in columns.items()
    }
    metadata.drop_all(engine)
    metadata.create_all(engine)
    splits, labels = ["train", "train", "valid", "test"], ["ham", "spam"]
    with engine.begin() as connection:
        for number in reversed(range(80)):
            day, gold = DAYS[number % 2], labels[number // 2 % 2]
            example = {
                "split": splits[number // 4 % 4],
                "text": f"t{number}",
                "size": number / 2,
                "spam": gold,
            }
            common = {"example_id": number, "day": day, "version": number}
            connection.execute(tables["examples"].insert(), {**example, **common})
            for source in ("first", "second", "third", "a:b"):
                wrong = (number * 7 + len(source)) % 5 == 0
                label = labels[(number // 2 + wrong) % 2]
                connection.execute(tables["votes"].insert(), {"source": source, "label": label, **common})
    return tables


@pytest.fixture(params=["sqlite", "duckdb", "postgresql"])
def database(request, tmp_path):
    """An engine that may write, and the URL that a pipeline.yaml has."""
    if request.param == "duckdb":
        pytest.importorskip("duckdb_engine", reason="needs duckdb and duckdb-engine")
    if request.param == "postgresql" and POSTGRES not in os.environ:
        pytest.skip(f"the environment variable {POSTGRES} names no database of Postgres")
    url = (
        os.environ[POSTGRES]
        if request.param == "postgresql"
        else f"{request.param}:///{tmp_path / 'data.db'}"
    )
    engine = sa.create_engine(
        url.replace("postgresql://", "postgresql+psycopg://"), poolclass=sa.pool.NullPool
    )
    make_tables(engine)
    return engine, "env:" + POSTGRES if request.param == "postgresql" else f"{request.param}:///data.db"


def load(folder, url, tasks=None, **source):
    content = {
        "name": "mail",
        "tasks": tasks or {"spam": SPAM},
        "source": {"url": url, **SOURCE, **source},
        "model": None,
    }
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(content))
    return load_spec(folder / "pipeline.yaml")


def change(engine, statement):
    with engine.begin() as connection:
        connection.execute(sa.text(statement))


def now(spec):
    return shard_fingerprints(spec, spec.list_files(), spec.find_shards())


def test_rows_become_shards(database, tmp_path):
    _, url = database
    spec = load(tmp_path, url)
    assert spec.find_shards() == ["2026-11-01", "2026-11-02"]
    assert skipped_files(spec) == {}
    table = examples_file(spec, "2026-11-02").read()
    assert table.column_names == ["example_id", "split", "text", "size", "spam"]
    assert table["example_id"].to_pylist() == list(range(1, 80, 2))
    assert table["size"].to_pylist() == [number / 2 for number in range(1, 80, 2)]
    path = spec.votes_path("spam", "2026-11-02")
    votes = read_votes(path, spec.tasks["spam"], tasks=spec.tasks)
    assert votes.lf_names == ("first", "second", "third")
    assert sorted(votes.example_ids) == list(range(1, 80, 2))


def test_a_change_is_seen_by_the_number_of_rows_and_by_the_version(database, tmp_path):
    engine, url = database
    spec = load(tmp_path, url)
    before = now(spec)
    assert before == now(spec)
    for shard in before:
        parts = [examples_fingerprint(spec, shard), votes_fingerprint(spec, "spam", shard)]
        assert before[shard] == "-".join(parts)
    change(engine, "UPDATE votes SET label = 'ham', version = 1000 WHERE example_id = 2 AND source = 'first'")
    changed = now(spec)
    assert [before[shard] == changed[shard] for shard in before] == [False, True]
    change(engine, "DELETE FROM examples WHERE example_id = 3")
    assert now(spec)["2026-11-02"] != changed["2026-11-02"]
    change(engine, "DELETE FROM votes WHERE example_id % 2 = 1")
    changes = shard_changes(spec, spec.list_files(), ["2026-11-01", "2026-11-02", "2026-11-03"])
    missing = ["votes/spam/2026-11-02 (rows of the query)"]
    assert (changes.new, changes.incomplete, changes.gone) == ([], {"2026-11-02": missing}, ["2026-11-03"])
    with pytest.raises(MissingFileError, match="votes/spam, shard '2026-11-02': there are no such rows"):
        votes_fingerprint(spec, "spam", "2026-11-02")


def test_without_a_column_of_shards_there_is_one(database, tmp_path):
    _, url = database
    spec = load(tmp_path, url, shard_column=None, version_column=None)
    assert spec.find_shards() == ["all"]
    assert examples_file(spec, "all").read(["example_id"])["example_id"].to_pylist() == list(range(80))


def test_the_newest_of_repeated_votes_counts(database, tmp_path):
    engine, url = database
    change(engine, "INSERT INTO votes VALUES (0, 'first', 'spam', '2026-11-01', 999)")
    change(engine, "INSERT INTO votes VALUES (0, 'first', 'ham', '2026-11-01', 998)")
    spec = load(tmp_path, url)
    with pytest.warns(UserWarning, match="2 of 122 votes are repeated"):
        votes = read_votes(spec.votes_path("spam", "2026-11-01"), spec.tasks["spam"], tasks=spec.tasks)
    row = votes.example_ids.tolist().index(0)
    assert pa.array(votes.votes[row]).to_pylist()[0] == 1


def test_nothing_can_be_written(database, tmp_path):
    engine, url = database
    kind = engine.dialect.name
    queries = {"postgresql": "WITH gone AS (DELETE FROM votes RETURNING *) SELECT * FROM gone"}
    with pytest.raises(FileAccessError, match="the database could not be read"):
        load(
            tmp_path, url, shard_column=None, examples=queries.get(kind, "SELECT * FROM nowhere")
        ).list_files()
    for query in ("DELETE FROM votes", "UPDATE votes SET label = 'x'", ""):
        with pytest.raises(
            PipelineSpecError, match="expected the name of a table, or a query that begins with"
        ):
            load(tmp_path, url, examples=query)
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT COUNT(*) FROM votes")).scalar_one() == 320


def test_a_pipeline_gives_the_same_from_tables_as_from_files(database, tmp_path):
    _, url = database
    spec = load(tmp_path, url)
    files = tmp_path / "files"
    for shard in spec.find_shards():
        for place, table in (
            ("examples", examples_file(spec, shard).read()),
            ("votes/spam", spec.votes_path("spam", shard).read()),
        ):
            (files / place).mkdir(parents=True, exist_ok=True)
            pq.write_table(table, files / place / f"{shard}.parquet")
    content = {"name": "mail", "tasks": {"spam": SPAM}, "model": None}
    (files / "pipeline.yaml").write_text(yaml.safe_dump(content))
    kept = {}
    for folder in (tmp_path, files):
        assert main(["check", str(folder)]) == 0
        storage = folder / "storage"
        with dg.DagsterInstance.ephemeral():
            assert main([str(folder / "pipeline.yaml"), "--storage", str(storage)]) == 0
        kept[folder] = {
            str(file.relative_to(storage)): file.read_bytes() for file in storage.rglob("*.parquet")
        }
    assert kept[tmp_path] == kept[files]
    assert "spam/label_matrix/2026-11-01.parquet" in kept[files]


def test_labeling_functions_vote_on_rows(database, tmp_path):
    _, url = database
    (tmp_path / "lfs.py").write_text(
        "from ws_pipeline.labeling import labeling_function\n\n"
        "@labeling_function()\ndef big(x):\n    return 1 if x.size > 20 else 0\n\n"
        "@labeling_function()\ndef odd(x):\n    return 1 if x.text.endswith('1') else -1\n"
    )
    load(
        tmp_path, url, tasks={"spam": {"classes": ["ham", "spam"], "labeling_functions": "lfs.py"}}, votes={}
    )
    storage = tmp_path / "storage"
    assert main([str(tmp_path / "pipeline.yaml"), "--storage", str(storage)]) == 0
    votes = pq.read_table(storage / "spam" / "label_matrix" / "2026-11-02.parquet")
    assert votes["big"].to_pylist() == [int(number > 40) for number in range(1, 80, 2)]


def test_secrets_are_in_the_environment_and_in_no_message(tmp_path, monkeypatch):
    with pytest.raises(PipelineSpecError) as refused:
        load(tmp_path, "postgresql://me:hunter2@localhost/db")
    assert "the URL has a password in it" in str(refused.value)
    assert "hunter2" not in str(refused.value)
    with pytest.raises(SettingsError, match=r"environment variable NO_SUCH is not set"):
        load(tmp_path, "postgresql://me:${NO_SUCH}@localhost/db").list_files()
    pytest.importorskip("psycopg", reason="needs psycopg")
    monkeypatch.setenv("WORD", "hunter2")
    monkeypatch.setenv("WHOLE", "postgresql://me:hunter2@localhost:1/db")
    for url in ("postgresql://me:${WORD}@localhost:1/db", "env:WHOLE"):
        with pytest.raises(FileAccessError) as failed:
            load(tmp_path, url).list_files()
        assert str(failed.value).startswith(f"{url}: the database could not be read (")
        assert "hunter2" not in repr(failed.value)
        assert failed.value.__suppress_context__


def test_a_driver_that_is_missing_is_named_with_the_command(tmp_path):
    with pytest.raises(
        MissingPackageError, match=r"driver of this database .*; install it with pip install 'ws-pipe"
    ):
        load(tmp_path, "oracle+nowhere://host/db").list_files()


@pytest.mark.parametrize(
    ("source", "tasks", "said"),
    [
        ({"votes": {}}, None, "task 'spam' has neither a query here nor labeling_functions"),
        ({"votes": {"spam": "votes", "ham": "votes"}}, None, "'ham' is no task; leave its query out"),
        (
            {},
            {"spam": {"classes": ["ham", "spam"], "labeling_functions": "lfs.py"}},
            "'spam' has labeling_functions, which make its votes; leave its query out",
        ),
        (
            {"url": "data.db"},
            None,
            "expected a URL such as postgresql://host/name, or env:NAME, got 'data.db'",
        ),
    ],
)
def test_a_source_that_does_not_fit_the_tasks_is_refused(tmp_path, source, tasks, said):
    with pytest.raises(PipelineSpecError) as refused:
        load(tmp_path, **{"url": "sqlite:///data.db", "tasks": tasks, **source})
    assert said in str(refused.value)


def test_a_source_beside_a_folder_of_data_is_refused(tmp_path):
    load(tmp_path, "sqlite:///data.db")
    content = yaml.safe_load((tmp_path / "pipeline.yaml").read_text()) | {"data": "x"}
    (tmp_path / "pipeline.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(
        PipelineSpecError, match="data is the folder of files, but source has the rows of a database"
    ):
        load_spec(tmp_path / "pipeline.yaml")


def test_rows_without_a_shard_and_columns_of_two_types_are_refused(tmp_path):
    with sqlite3.connect(tmp_path / "data.db") as connection:
        connection.execute("CREATE TABLE examples (example_id, split, day, version, x)")
        connection.execute(
            "CREATE TABLE votes AS SELECT 1 example_id, 'a' source, 'ham' label, 'd' day, 1 version"
        )
        connection.execute("INSERT INTO examples VALUES (1, 'train', 'd', 1, 1), (2, 'train', 'd', 1, 'x')")
    connection.close()
    spec = load(tmp_path, "sqlite:///data.db")
    with pytest.raises(
        FileFormatError, match=r"sqlite:///data.db: column 'x' has values of no one type .*; cast it"
    ):
        examples_file(spec, "d").read()
    with sqlite3.connect(tmp_path / "data.db") as connection:
        connection.execute("INSERT INTO examples VALUES (3, 'train', NULL, 1, 1)")
    connection.close()
    with pytest.raises(FileFormatError, match=r"examples: 1 row\(s\) have no value in the column 'day'"):
        spec.list_files()


def test_a_multi_label_task_has_one_query(tmp_path):
    task = {"classes": ["ham", "spam", "eggs"], "multi_label": True, "votes": {"format": "long"}}
    spec = load(tmp_path, "sqlite:///data.db", tasks={"spam": task})
    assert spec.places == ["examples", "votes/spam"]
