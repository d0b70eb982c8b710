"""Named tables keep their names: LFs are matched by name, examples keep their ids, missing votes abstain."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import sparse

from ws_pipeline.errors import ExampleIdError, LabelMatrixError, LeftOutColumnWarning
from ws_pipeline.labeling import (
    LabelMatrix,
    LabelModel,
    LFAnalysis,
    MajorityClassVoter,
    MajorityLabelVoter,
    RandomVoter,
    VoteCounts,
)
from ws_pipeline.labeling.models.probabilistic_labels import ProbabilisticLabels
from ws_pipeline.labeling.votes.vote_forms import read_votes

RNG = np.random.default_rng(5)
GOLD = RNG.integers(0, 3, 300)
ACCURACIES = np.array([0.9, 0.8, 0.6, 0.5])
VOTES = np.where(RNG.random((300, 4)) < ACCURACIES, GOLD[:, None], RNG.integers(0, 3, (300, 4)))
VOTES[RNG.random(VOTES.shape) < 0.3] = -1
NAMES = ("dee", "ann", "cy", "bob")
IDS = RNG.permutation(1000)[:300]
ORDER = [2, 0, 3, 1]


class Capsule:
    """A frame of another library, known only by the Arrow protocol, as polars and DuckDB have it."""

    def __init__(self, table):
        self.table, self.columns = table, table.column_names

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


def arrow(names=NAMES, votes=VOTES):
    return pa.table(
        {name: pa.array(column, mask=column < 0) for name, column in zip(names, votes.T, strict=True)}
    )


TABLES = {
    "pandas with -1": lambda names, votes: pd.DataFrame(votes, columns=list(names)),
    "pandas with NaN": lambda names, votes: (
        pd.DataFrame(votes, columns=list(names)).astype(float).where(votes >= 0)
    ),
    "pandas with NA": lambda names, votes: (
        pd.DataFrame(votes, columns=list(names)).astype("Int64").where(votes >= 0)
    ),
    "pandas with None": lambda names, votes: (
        pd.DataFrame(votes, columns=list(names)).astype(object).where(votes >= 0, None)
    ),
    "pandas of Arrow": lambda names, votes: arrow(names, votes).to_pandas(types_mapper=pd.ArrowDtype),
    "pandas of categories": lambda names, votes: pd.DataFrame(votes, columns=list(names)).astype("category"),
    "Arrow": arrow,
    "record batch": lambda names, votes: arrow(names, votes).to_batches()[0],
    "Arrow protocol": lambda names, votes: Capsule(arrow(names, votes)),
    "dict": lambda names, votes: dict(zip(names, votes.T, strict=True)),
    "dict with None": lambda names, votes: arrow(names, votes).to_pydict(),
    "label matrix": lambda names, votes: LabelMatrix(votes, 3, None, names),
}
every_table = pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)


def triples(names=NAMES, votes=VOTES, ids=IDS, columns=("example_id", "lf", "vote")):
    rows, lfs = np.nonzero(votes >= 0)
    return pd.DataFrame(dict(zip(columns, (ids[rows], np.array(names)[lfs], votes[rows, lfs]), strict=True)))


def fitted(votes, k=3):
    return LabelModel(k, verbose=False).fit(votes, progress_bar=False)


@pytest.fixture(scope="module")
def model():
    return fitted(LabelMatrix(VOTES, 3, IDS, NAMES))


# Names of LFs


@every_table
def test_the_names_of_a_table_are_those_of_the_lfs(make, model):
    table = make(NAMES, VOTES)
    assert VoteCounts.from_votes(table, 3) == VoteCounts.from_votes(VOTES, 3, NAMES)
    assert LabelMatrix(table, 3) == LabelMatrix(VOTES, 3, None, NAMES)
    assert (
        LFAnalysis(table)
        .lf_summary(GOLD)
        .equals(LFAnalysis(LabelMatrix(VOTES, 3, None, NAMES)).lf_summary(GOLD))
    )
    assert fitted(table).lf_names == NAMES
    assert np.array_equal(fitted(table).mu, model.mu)


@every_table
def test_columns_in_another_order_are_matched_by_name(make, model):
    shuffled = make([NAMES[lf] for lf in ORDER], VOTES[:, ORDER])
    expected = model.predict_proba(VOTES)
    assert np.array_equal(model.predict_proba(shuffled), expected)
    assert np.array_equal(model.predict(shuffled), model.predict(VOTES))
    assert model.score(shuffled, GOLD) == model.score(VOTES, GOLD)
    assert not np.allclose(model.predict_proba(VOTES[:, ORDER]), expected)


@every_table
@pytest.mark.parametrize(
    ("names", "difference"),
    [
        (("ann", "bob", "cy", "eve"), r"missing \['dee'\], unknown \['eve'\]"),
        (("ann", "bob", "cy"), r"missing \['dee'\], unknown \[\]"),
        (("ann", "bob", "cy", "dee", "eve"), r"missing \[\], unknown \['eve'\]"),
    ],
)
def test_other_lfs_are_refused_by_name(make, names, difference, model):
    votes = np.zeros((2, len(names)), dtype=int)
    with pytest.raises(
        LabelMatrixError, match=rf"LFs of L differ from those of the model's fit: {difference};"
    ):
        model.predict_proba(make(names, votes))


def test_an_array_has_no_names_to_compare(model):
    assert np.array_equal(model.predict_proba(VOTES), fitted(VOTES).predict_proba(VOTES))
    assert np.array_equal(fitted(VOTES).predict_proba(arrow()), model.predict_proba(VOTES))
    with pytest.raises(LabelMatrixError, match="L has 3 columns, but the model was fitted on 4 LFs"):
        fitted(VOTES).predict_proba(arrow().select(["dee", "ann", "cy"]))


def test_numbered_columns_are_those_of_an_array():
    frame = pd.DataFrame(VOTES)
    by_number = fitted(frame)
    assert by_number.lf_names == ("lf_0", "lf_1", "lf_2", "lf_3")
    assert np.array_equal(by_number.predict_proba(frame[ORDER]), by_number.predict_proba(VOTES))
    assert LFAnalysis(frame).lf_names is None


@pytest.mark.parametrize("fitted_on", [[0, 1, 2, 3], [0, 1, 2, 7]])
def test_numbered_columns_of_other_lfs_are_refused(fitted_on):
    by_number = fitted(pd.DataFrame(VOTES, columns=fitted_on))
    assert np.array_equal(by_number.predict_proba(VOTES), fitted(VOTES).predict_proba(VOTES))
    other = pd.DataFrame(VOTES, columns=[0, 1, 2, 3] if 7 in fitted_on else [0, 1, 2, 7])
    with pytest.raises(LabelMatrixError, match=r"missing \['lf_[37]'\], unknown \['lf_[37]'\]"):
        by_number.predict_proba(other)


def test_numbers_and_names_are_not_compared(model):
    assert np.array_equal(model.predict_proba(pd.DataFrame(VOTES)), model.predict_proba(VOTES))
    assert np.array_equal(model.predict_proba(LabelMatrix(VOTES, 3)), model.predict_proba(VOTES))


def test_voters_take_every_form():
    for make in [*TABLES.values(), triples]:
        table = make(NAMES, VOTES)
        rows = read_votes(table).votes.shape[0]
        assert MajorityClassVoter(3).fit([0.2, 0.5, 0.3]).predict(table).tolist() == [1] * rows
        assert RandomVoter(3).predict_proba(table).shape == (rows, 3)
        found = ProbabilisticLabels.from_votes(MajorityLabelVoter(3), table)
        if make is triples:
            assert (
                dict(zip(found.example_ids, found.predictions, strict=True)).items()
                <= dict(zip(IDS, MajorityLabelVoter(3).predict(VOTES), strict=True)).items()
            )
        else:
            assert np.array_equal(found.probs, MajorityLabelVoter(3).predict_proba(VOTES))


def test_two_columns_of_one_name_are_refused():
    frame = pd.DataFrame(VOTES, columns=["a", "b", "a", "c"])
    with pytest.raises(LabelMatrixError, match=r"L: LF names must be unique, repeated: \['a'\]"):
        fitted(frame)


@pytest.mark.parametrize("name", ["gold", "label", "split", "y"])
def test_a_column_that_means_something_else_is_refused(name):
    frame = pd.DataFrame(VOTES, columns=list(NAMES)).assign(**{name: GOLD})
    with pytest.raises(
        LabelMatrixError, match=f"L: by its name, '{name}' is no LF.*; leave it out, or rename it"
    ):
        fitted(frame)


def test_an_index_that_was_read_from_csv_is_left_out():
    frame = pd.DataFrame(VOTES, columns=list(NAMES)).assign(**{"Unnamed: 0": range(300)})
    with pytest.warns(LeftOutColumnWarning, match=r"L: column\(s\) \['Unnamed: 0'\] left out"):
        assert fitted(frame).lf_names == NAMES


# Values


def test_a_vote_out_of_range_is_named_with_its_lf_and_example():
    frame = pd.DataFrame({"example_id": [7, 8], "a": [0, 1], "b": [None, 3]})
    with pytest.raises(
        LabelMatrixError, match=r"L: LF 'b' votes 3.0 on example 8, expected an integer .* to 2"
    ):
        VoteCounts.from_votes(frame, 3)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (
            ["spam", None],
            r"L: column 'a' has type .*string, expected integers .* got the text 'spam'; map class",
        ),
        ([1, "spam"], r"L: column 'a' is no column of votes .*; expected integers, and -1, None or NaN"),
        ([[0, 1], [1]], r"L: column 'a' has type list<.*>, expected integers"),
        ([pd.Timestamp(2020, 1, 1)] * 2, r"L: column 'a' has type timestamp.*, expected integers"),
    ],
)
@pytest.mark.parametrize("make", [dict, pd.DataFrame], ids=["dict", "pandas"])
def test_columns_that_hold_no_votes_are_refused_by_name(make, column, message):
    with pytest.raises(LabelMatrixError, match=message):
        LFAnalysis(make({"b": [0, 1], "a": column}))


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(
        LabelMatrixError, match=r"L: all columns must have the same number .* got {'a': 2, 'b': 1}"
    ):
        fitted({"a": [0, 1], "b": [0]})


def test_polars_frames_are_read():
    polars = pytest.importorskip("polars")
    assert VoteCounts.from_votes(polars.DataFrame(arrow()), 3) == VoteCounts.from_votes(VOTES, 3, NAMES)
    long = polars.DataFrame(triples()).with_columns(polars.col("lf").cast(polars.Enum(NAMES)))
    assert VoteCounts.from_votes(long, 3) == VoteCounts.from_votes(triples(), 3)


# Ids of examples


@pytest.mark.parametrize(
    "ids", [IDS, np.array([f"doc {i}" for i in IDS], dtype=object)], ids=["numbers", "text"]
)
@pytest.mark.parametrize("as_index", [False, True])
def test_ids_of_a_frame_are_kept(ids, as_index, model):
    frame = pd.DataFrame(VOTES, columns=list(NAMES)).assign(example_id=ids)
    frame = frame.set_index("example_id") if as_index else frame
    assert LabelMatrix(frame, 3) == LabelMatrix(VOTES, 3, ids, NAMES)
    labels = ProbabilisticLabels.from_votes(model, frame)
    assert labels.example_ids.tolist() == ids.tolist()
    assert np.array_equal(labels.probs, model.predict_proba(VOTES))
    assert LabelMatrix(frame, 3, example_ids=range(300)).example_ids.tolist() == list(range(300))


def test_repeated_ids_of_a_frame_are_refused():
    frame = pd.DataFrame({"example_id": [7, 8, 7], "a": [0, 1, 0]})
    with pytest.raises(
        ExampleIdError, match=r"L: example ids must be unique, 1 are repetitions, the first: 7"
    ):
        LabelMatrix(frame, 2)


def test_gold_by_id_is_brought_to_the_order_of_the_votes(model):
    frame = pd.DataFrame(VOTES, columns=list(NAMES)).assign(example_id=IDS)
    by_id = pd.Series(GOLD, index=pd.Index(IDS, name="example_id")).sample(frac=1, random_state=1)
    expected = model.score(VOTES, GOLD)
    assert model.score(frame, by_id) == model.score(frame, by_id.to_dict()) == expected
    assert model.score(frame, GOLD) == expected
    pd.testing.assert_frame_equal(LFAnalysis(frame).lf_summary(by_id), LFAnalysis(frame).lf_summary(GOLD))
    half = by_id.drop(IDS[:150])
    assert model.score(frame, half) == model.score(VOTES[150:], GOLD[150:])


@pytest.mark.parametrize(
    ("gold", "message"),
    [
        ({"x": 1}, r"Y are of other examples than the votes: the first ids are \['x'\] and \["),
        (pd.Series([1], index=pd.Index(["x"], name="example_id")), r"Y are of other examples"),
    ],
)
def test_gold_of_other_examples_is_refused(gold, message, model):
    frame = pd.DataFrame(VOTES, columns=list(NAMES)).assign(example_id=IDS)
    with pytest.raises(LabelMatrixError, match=message):
        model.score(frame, gold)


def test_gold_by_id_needs_votes_with_ids(model):
    with pytest.raises(LabelMatrixError, match="Y are given by example id, but the votes have no ids"):
        model.score(VOTES, dict(enumerate(GOLD)))


# Triples


@pytest.mark.parametrize(
    "columns",
    [
        ("task", "worker", "label"),
        ("item", "annotator", "answer"),
        ("Question", "Judge", "Response"),
        ("example", "source", "vote"),
    ],
)
def test_triples_with_the_names_of_other_programs_are_known(columns, model):
    table = triples(columns=columns)
    form, expected = read_votes(table), read_votes(triples())
    assert form.lf_names == expected.lf_names == tuple(sorted(NAMES))
    assert form.example_ids.tolist() == expected.example_ids.tolist()
    assert np.array_equal(model.predict_proba(table), model.predict_proba(triples()))


def test_triples_with_more_columns_say_what_to_choose():
    table = triples(columns=("task", "worker", "label")).assign(seconds=3.5)
    with pytest.raises(LabelMatrixError) as refused:
        fitted(table)
    chosen = "L[['task', 'worker', 'label']]"
    renamed = "rename(columns={'task': 'example_id', 'worker': 'lf', 'label': 'vote'})"
    assert str(refused.value).endswith(
        f"['task', 'worker', 'label', 'seconds']; choose three, such as {chosen}.{renamed}"
    )


@pytest.mark.parametrize("columns", [("task", "member", "label"), ("item", "worker", "choice_made")])
def test_triples_with_a_name_that_is_not_known_say_how_to_call_them(columns):
    with pytest.raises(LabelMatrixError) as refused:
        fitted(triples(columns=columns))
    assert str(refused.value) == (
        f"L seems to have one row per vote, in the columns {list(columns)}; rename those of the example, the "
        "LF and the vote to example_id, lf, vote"
    )


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"sentence": ["a", "a"], "coder": ["x", "y"], "code": [0, 1]}, r"column 'sentence' has type .*"),
        ({"sentence": [7, 7], "coder": [0, 1], "code": [0, 1]}, r"LF 'sentence' votes 7 on example 0, .*"),
        ({"sentence": [7, 7], "coder": [0, 1], "label": [0, 1]}, r"by its name, 'label' is no LF, .*"),
    ],
)
def test_three_columns_that_are_no_votes_may_be_triples(columns, found, model):
    hint = "; if L has one row per vote, call its columns example_id, lf, vote$"
    with pytest.raises(LabelMatrixError, match=f"^L: {found}{hint}"):
        model.predict(pd.DataFrame(columns))
    with pytest.raises(LabelMatrixError, match=rf"^L: {found}(?<!{hint[:-1]})$"):
        model.predict(pd.DataFrame(columns).assign(other=0))


def test_text_votes_of_triples_say_what_helps_triples(model):
    table = triples().assign(vote=lambda frame: frame["vote"].map({0: "no", 1: "yes", 2: "?"}))
    with pytest.raises(
        LabelMatrixError, match=r"^triples: column 'vote' .*; map class names to 0\.\.k-1 first$"
    ):
        model.predict(table)


def test_a_dense_table_with_such_names_is_no_triples():
    frame = pd.DataFrame({"example_id": [7, 8], "source": [0, 1], "rating": [1, 1], "c": [0, 0]})
    assert read_votes(frame).lf_names == ("source", "rating", "c")


def test_predictions_of_triples_come_in_the_order_of_their_first_rows_with_ids(model):
    table = triples().sample(frac=1, random_state=2)
    expected = dict(zip(IDS.tolist(), model.predict_proba(VOTES).tolist(), strict=True))
    labels = ProbabilisticLabels.from_votes(model, table)
    assert labels.example_ids.tolist() == table["example_id"].drop_duplicates().tolist()
    assert labels.probs.tolist() == [expected[example] for example in labels.example_ids.tolist()]
    assert np.array_equal(model.predict_proba(table), labels.probs)
    gold = dict(zip(IDS.tolist(), GOLD.tolist(), strict=True))
    in_order = [gold[example] for example in labels.example_ids.tolist()]
    assert model.score(table, gold) == model.score(table, in_order)


def test_an_lf_without_a_triple_abstains(model):
    few = triples()[lambda table: table["lf"].isin(["bob", "dee"])]
    votes = VOTES.copy()
    votes[:, [1, 2]] = -1
    known = np.isin(IDS, few["example_id"])
    labels = ProbabilisticLabels.from_votes(model, few)
    expected = dict(zip(IDS[known].tolist(), model.predict_proba(votes[known]).tolist(), strict=True))
    assert dict(zip(labels.example_ids.tolist(), labels.probs.tolist(), strict=True)) == expected


def test_triples_of_an_unknown_lf_are_refused_by_name(model):
    more = pd.concat([triples(), triples(names=("eve",), votes=VOTES[:, :1])])
    with pytest.raises(LabelMatrixError, match=r"model's fit: missing \[\], unknown \['eve'\]; leave"):
        model.predict(more)


def test_triples_are_not_guessed_to_be_the_columns_of_an_array():
    with pytest.raises(LabelMatrixError, match=r"unknown \['ann', 'bob', 'cy', 'dee'\]"):
        fitted(VOTES).predict(triples())


def test_numbered_lfs_of_triples_are_sorted_as_numbers():
    table = pa.table({"example_id": [1, 1, 2], "lf": [10, 9, 100], "vote": [0, 1, 1]})
    form = read_votes(table)
    assert form.lf_names == ("9", "10", "100")
    assert form.votes.toarray().tolist() == [[1, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    "kind", [pa.string_view(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]
)
def test_triples_of_every_type_of_text(kind, model):
    table = pa.Table.from_pandas(triples(), preserve_index=False)
    lfs = table["lf"].cast(pa.string())
    lfs = lfs.dictionary_encode() if pa.types.is_dictionary(kind) else lfs.cast(kind)
    other = table.set_column(1, "lf", lfs)
    assert np.array_equal(model.predict_proba(other), model.predict_proba(table))


@pytest.mark.parametrize(
    "votes", [[None, 1, 0], [np.nan, 1.0, 0.0], pd.array([None, 1, 0], dtype="Int8"), [None, True, False]]
)
def test_a_missing_vote_in_a_triple_says_only_that_the_example_is_there(votes):
    table = pd.DataFrame({"example_id": [3, 2, 2], "lf": ["a", "a", "b"], "vote": votes})
    form = read_votes(table)
    assert form.example_ids.tolist() == [3, 2]
    assert LabelMatrix(table, 2) == LabelMatrix([[-1, -1], [1, 0]], 2, [3, 2], ["a", "b"])


@pytest.mark.parametrize(
    "make", [pa.array, lambda texts: pa.array(texts).dictionary_encode()], ids=["plain", "dictionary"]
)
def test_a_null_in_a_triple_is_named_by_column_and_row(make):
    table = pa.table({"task": make(["x", "y", "x"]), "worker": make(["a", "b", None]), "label": [0, 1, 1]})
    with pytest.raises(
        LabelMatrixError, match="triples: column 'worker' is null in row 2; give every vote its"
    ):
        read_votes(table)


def test_no_triples_are_no_votes():
    form = read_votes(pd.DataFrame({"task": [], "worker": [], "label": []}, dtype=object))
    assert (form.votes.shape, form.lf_names, len(form.example_ids)) == ((0, 0), (), 0)
    assert VoteCounts.from_votes(pa.table({"example_id": pa.nulls(0), "a": pa.nulls(0)}), 2).n_examples == 0


@pytest.mark.parametrize(("vote", "found"), [(-2, "-2"), (3, "3"), (0.5, "0.5")])
def test_a_wrong_vote_in_a_triple_is_named(vote, found):
    table = pa.table(
        {"task": ["x", "y"], "worker": ["ann", "bob"], "label": [0.0 if isinstance(vote, float) else 0, vote]}
    )
    with pytest.raises(
        LabelMatrixError, match=f"LF 'bob' votes {found} on example y, expected an integer .* to 2"
    ):
        VoteCounts.from_votes(table, 3)


def test_gold_as_one_of_the_workers_is_refused():
    table = triples(names=("ann", "bob", "cy", "gold"))
    with pytest.raises(LabelMatrixError, match="triples: by its name, 'gold' is no LF"):
        fitted(table)


def test_floats_are_no_ids():
    table = pa.table({"task": [1.5, 2.0], "worker": ["a", "b"], "label": [0, 1]})
    with pytest.raises(ExampleIdError, match="triples: column 'example_id' has type double"):
        read_votes(table)


def test_the_statistics_of_triples_are_those_of_their_label_matrix():
    table = triples()
    matrix = LabelMatrix(table, 3)
    gold = dict(zip(IDS.tolist(), GOLD.tolist(), strict=True))
    expected = LFAnalysis(matrix).lf_summary([gold[example] for example in matrix.example_ids.tolist()])
    pd.testing.assert_frame_equal(LFAnalysis(table).lf_summary(gold), expected)


def test_a_sparse_array_has_statistics_too():
    rows, lfs = np.nonzero(VOTES >= 0)
    votes = sparse.coo_array((VOTES[rows, lfs], (rows, lfs)), shape=VOTES.shape)
    assert LFAnalysis(votes).lf_summary(GOLD).equals(LFAnalysis(VOTES).lf_summary(GOLD))
