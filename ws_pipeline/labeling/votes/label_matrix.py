"""The raw label matrix as a value: votes, whose votes, on which examples.

Legend: n examples, m labeling functions (LFs), k classes.  A vote is 0..k-1, or -1 for abstain.
Everything is validated here, once, at the border; the rest of the package trusts a
:class:`LabelMatrix`, and makes others of its parts with :meth:`LabelMatrix.trusted`.  Start reading
at :meth:`LabelMatrix.from_parquet`; the rules are in :mod:`.vote_checks`, which columns of a table are
votes in :mod:`.vote_columns`.
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ws_pipeline.errors import LabelMatrixError
from ws_pipeline.example_ids import (
    ID_COLUMN,
    Ids,
    check_disjoint,
    concatenate_ids,
    ids_from_table,
    validate_ids,
)
from ws_pipeline.labeling.votes.details_table import add_details, details_of, take_details
from ws_pipeline.labeling.votes.example_rows import rows_among
from ws_pipeline.labeling.votes.matrix_tables import decode_sparse_votes, encode_votes, stored_cardinality
from ws_pipeline.labeling.votes.vote_checks import (
    ABSTAIN,
    Votes,
    as_vote_array,
    check_cardinality,
    check_names,
    check_range,
    check_same_cardinality,
    check_same_lfs,
    default_lf_names,
    validate_votes,
    votes_dtype,
)
from ws_pipeline.labeling.votes.vote_columns import find_lf_columns, votes_of_columns
from ws_pipeline.labeling.votes.vote_details import VoteDetails, split_votes
from ws_pipeline.labeling.votes.vote_forms import read_votes
from ws_pipeline.labeling.votes.vote_storage import (
    KeptVotes,
    as_kept,
    covered_rows_of,
    freeze,
    hash_of,
    keep_votes,
    place_columns,
    place_rows,
    row_major,
    same_votes,
    stack_rows,
    to_dense,
)
from ws_pipeline.labeling.votes.vote_tables import as_table
from ws_pipeline.storage.files import PathLike, read_parquet

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "ABSTAIN",
    "LabelMatrix",
    "Votes",
    "as_vote_array",
    "check_cardinality",
    "check_range",
    "check_same_cardinality",
    "check_same_lfs",
    "default_lf_names",
    "validate_votes",
    "votes_dtype",
]


@dataclass(frozen=True, eq=False, init=False)
class LabelMatrix:
    """Votes of m labeling functions on n examples.

    Parameters
    ----------
    votes
        ``[n, m]`` array with values in {-1, 0, .., k-1}; any integer dtype, or floats with
        integer values; or any other form that :mod:`ws_pipeline.labeling.votes.vote_forms` reads.  Kept as a
        read-only int8 array (int16 from 129 classes on); beyond 256 LFs as a scipy sparse array in which what
        is not stored abstains, see :mod:`.vote_storage`.
    cardinality
        Number of classes k, at least 2.
    example_ids
        ``[n]`` integers or strings, unique.  Default: those of ``votes`` where it has any, else 0..n-1.
    lf_names
        m unique names.  Default: those of ``votes`` where it has any, else ``lf_0``, ``lf_1``, ...
    scores
        ``[n, m]`` numbers: how sure each vote is, on a scale of its LF; NaN where it does not say.  Default:
        no vote has a score.
    superclasses
        Name to the numbers of several classes.  A vote of k + t is for any class of superclass t, in the
        order of the dict; ``votes`` abstains there, and ``details`` has it.

    Attributes
    ----------
    details : VoteDetails or None
        What votes say beyond their class.

    Raises
    ------
    LabelMatrixError
        A vote out of range (named with its LF and example), repeated or too few names.
    ExampleIdError
        Null or repeated ids.

    Examples
    --------
    >>> matrix = LabelMatrix([[0, 1, -1], [1, 1, 0]], cardinality=2)
    >>> matrix.n_examples, matrix.n_lfs
    (2, 3)
    """

    votes: KeptVotes
    cardinality: int
    example_ids: Ids
    lf_names: tuple[str, ...]
    details: VoteDetails | None

    def __init__(
        self,
        votes: ArrayLike,
        cardinality: int,
        example_ids: ArrayLike | None = None,
        lf_names: Sequence[str] | None = None,
        *,
        scores: ArrayLike | None = None,
        superclasses: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        check_cardinality(cardinality)
        if scores is not None or superclasses is not None:
            votes, details = split_votes(votes, cardinality, scores, superclasses or {})
        else:
            details = None
        form = read_votes(votes, cardinality)
        known_ids = form.example_ids if example_ids is None else example_ids
        n, m = form.votes.shape
        ids = np.arange(n) if known_ids is None else validate_ids(known_ids)
        if len(ids) != n:
            message = f"example_ids has {len(ids)} entries, but votes has {n} rows"
            raise LabelMatrixError(message)
        names = form.lf_names if lf_names is None else tuple(map(str, lf_names))
        check_names(names, m)
        kept = keep_votes(form.votes, cardinality, lf_names=names, example_ids=ids)
        self._set(kept, operator.index(cardinality), ids, names, details or form.details)

    @classmethod
    def trusted(
        cls,
        votes: KeptVotes,
        cardinality: int,
        example_ids: Ids,
        lf_names: tuple[str, ...],
        details: VoteDetails | None = None,
    ) -> LabelMatrix:
        """Make a label matrix of parts that were checked before, such as those of other label matrices.

        Nothing is checked or copied; the arrays become read-only.  Use the constructor for anything else.

        Parameters
        ----------
        votes
            ``[n, m]``, in the smallest dtype, in {-1, 0, .., k-1}; brought to the form that so many LFs have.
        cardinality
            Number of classes k.
        example_ids
            ``[n]`` int64, or str objects, unique.
        lf_names
            m unique names.
        details
            What is said beyond the classes.
        """
        matrix = cls.__new__(cls)
        matrix._set(as_kept(votes), cardinality, example_ids, lf_names, details)  # noqa: SLF001  its own
        return matrix

    def _set(self, votes: KeptVotes, *others: Any) -> None:
        ids = others[1]
        freeze(votes)
        ids.flags.writeable = False
        for field, value in zip(fields(self), (votes, *others), strict=True):
            object.__setattr__(self, field.name, value)

    @property
    def n_examples(self) -> int:
        """Number of rows n."""
        return int(self.votes.shape[0])

    @property
    def n_lfs(self) -> int:
        """Number of labeling functions m."""
        return int(self.votes.shape[1])

    @property
    def covered(self) -> npt.NDArray[np.bool_]:
        """``[n]`` mask of the examples that have at least one vote."""
        covered = covered_rows_of(self.votes)
        voted = None if self.details is None else self.details.voted
        return covered if voted is None else covered | voted

    @property
    def digest(self) -> str:
        """SHA-256 of the votes in hexadecimal: tells whether labels were made of these votes or of others."""
        digest = hash_of(self.votes)
        if self.details is not None:
            self.details.update(digest)
        return str(digest.hexdigest())

    def __len__(self) -> int:
        return self.n_examples

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(to_dense(self.votes), dtype=dtype, copy=copy)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LabelMatrix):
            return NotImplemented
        return (
            self.cardinality == other.cardinality
            and self.lf_names == other.lf_names
            and same_votes(self.votes, other.votes)
            and np.array_equal(self.example_ids, other.example_ids)
            and self.details == other.details
        )

    __hash__ = None  # type: ignore[assignment]

    def take(self, rows: npt.NDArray[Any]) -> LabelMatrix:
        """Return the examples at ``rows`` (positions or a boolean mask) as a new label matrix."""
        ids = self.example_ids[rows]
        if np.asarray(rows).dtype != np.bool_:  # a position may be there twice
            ids = validate_ids(ids)
        details = None if self.details is None else self.details.take(rows)
        return LabelMatrix.trusted(self.votes[rows], self.cardinality, ids, self.lf_names, details)

    def with_lfs(self, lf_names: Sequence[str]) -> LabelMatrix:
        """Return the votes of these LFs, in this order; one that is not here abstains."""
        place = {name: lf for lf, name in enumerate(self.lf_names)}
        names = tuple(lf_names)
        sources = [place.get(name) for name in names]
        votes = place_columns(self.votes, sources)
        details = None if self.details is None else self.details.columns(sources)
        return LabelMatrix.trusted(votes, self.cardinality, self.example_ids, names, details)

    def aligned_to(self, example_ids: npt.NDArray[Any], *, where: str = "votes") -> LabelMatrix:
        """Return the same votes in the order of ``example_ids`` ``[n']``.

        Examples without a row here get a row of abstains.

        Raises
        ------
        LabelMatrixError
            There are votes for an example that is not among ``example_ids``.
        ExampleIdError
            ``example_ids`` are null or repeated; one has integer ids, the other strings; or an id differs
            from one of ``example_ids`` only in its Unicode form or in blanks around it.
        """
        example_ids = validate_ids(example_ids)
        rows = rows_among(self.example_ids, example_ids, where=where)
        votes = place_rows(self.votes, rows, len(example_ids))
        details = None if self.details is None else self.details.spread(rows, len(example_ids))
        return LabelMatrix.trusted(votes, self.cardinality, example_ids, self.lf_names, details)

    @classmethod
    def concatenate(cls, shards: Mapping[str, LabelMatrix]) -> LabelMatrix:
        """Stack shards, in the order of the mapping, into one label matrix.

        Raises
        ------
        LabelMatrixError
            The LFs or the classes of a shard differ from the first one's.
        ExampleIdError
            An example id is in two shards.  Both messages name the shards.
        """
        if not shards:
            message = "no shards to concatenate"
            raise LabelMatrixError(message)
        (first_name, first), *_ = shards.items()
        for name, shard in shards.items():
            check_same_lfs(first_name, first.lf_names, name, shard.lf_names)
            check_same_cardinality(first_name, first.cardinality, name, shard.cardinality)
        check_disjoint({name: shard.example_ids for name, shard in shards.items()})
        parts = list(shards.values())
        return cls.trusted(
            stack_rows([part.votes for part in parts]),
            first.cardinality,
            concatenate_ids([part.example_ids for part in parts]),
            first.lf_names,
            VoteDetails.concatenate([part.details for part in parts], [part.votes.shape for part in parts]),
        )

    def to_table(self) -> pa.Table:
        """Encode as an Arrow table: example_id, then one integer column per LF, null = abstain.

        Beyond 256 LFs: example_id, then a column of lists of LF * k + vote; the LFs are in the metadata.
        """
        table = encode_votes(self.votes, self.cardinality, self.example_ids, self.lf_names)
        return table if self.details is None else add_details(table, self.details, self.lf_names)

    @classmethod
    def from_table(
        cls,
        table: Any,
        cardinality: int | None = None,
        *,
        lf_columns: Sequence[str] | None = None,
        tasks: Collection[str] = (),
        classes: Sequence[str] | None = None,
        where: str = "label matrix",
    ) -> LabelMatrix:
        """Decode the table of :meth:`to_table`, or one of the same columns from elsewhere.

        Parameters
        ----------
        table
            An Arrow table, or a frame: a column ``example_id`` (integers or strings), and one column per LF
            of whole numbers in which null, NaN and -1 mean abstain.
        cardinality
            Number of classes.  Default: what :meth:`to_table` stored, in whose table every column is an LF.
        lf_columns
            The columns that are LFs, in the order that they are to have.  Default: all but ``example_id``.
        tasks
            Names of the tasks; a column of such a name holds gold labels, and is no LF.
        classes
            Names of the k classes, which columns of text may hold.  Default: text is refused.
        where
            Name of the source; opens every error message.

        Raises
        ------
        LabelMatrixError
            A column is no LF by its name, has no votes in it, or is listed but not there.
        ExampleIdError
            Ids that are missing, null or repeated.

        Warns
        -----
        LeftOutColumnWarning
            A column is the index of a pandas frame.
        """
        table = as_table(table, where=where)
        if table is None:
            message = (
                f"{where}: expected a table with a column per LF; use LabelMatrix(votes, k) for an array"
            )
            raise LabelMatrixError(message)
        table, taken = take_details(table)
        ids = ids_from_table(table, where=where)
        sparse = decode_sparse_votes(table, cardinality, where=where)
        if sparse is not None:
            details = details_of(taken, sparse.lf_names, len(ids))
            matrix = cls.trusted(sparse.votes, sparse.cardinality, ids, sparse.lf_names, details)
            return matrix if lf_columns is None else matrix.with_lfs(lf_columns)
        if cardinality is None:
            cardinality = stored_cardinality(table, where)
            names = tuple(name for name in table.column_names if name != ID_COLUMN)
            names = names if lf_columns is None else find_lf_columns(table, listed=lf_columns, where=where)
        else:
            check_cardinality(cardinality)
            names = find_lf_columns(table, listed=lf_columns, tasks=tasks, where=where)
        votes = votes_of_columns(table, names, cardinality, where=where, example_ids=ids, classes=classes)
        details = details_of(taken, names, len(ids))
        return cls.trusted(row_major(votes), operator.index(cardinality), ids, names, details)

    @classmethod
    def from_parquet(
        cls,
        path: PathLike,
        cardinality: int | None = None,
        *,
        lf_columns: Sequence[str] | None = None,
        tasks: Collection[str] = (),
        classes: Sequence[str] | None = None,
    ) -> LabelMatrix:
        """Read a shard of votes from a Parquet file (local path or any fsspec URL); see :meth:`from_table`.

        Raises
        ------
        LabelMatrixError
            The file's content breaks the contract; the message names file, column and row.
        FileFormatError
            The file is truncated or not Parquet.
        """
        table = read_parquet(path)
        return cls.from_table(
            table, cardinality, lf_columns=lf_columns, tasks=tasks, classes=classes, where=str(path)
        )
