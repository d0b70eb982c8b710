"""What a pipeline.yaml says of one task: its classes, its votes and its labels."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from ws_pipeline.defs.spec.multi_label_rules import (
    LabelListsSpec,
    check_label_lists,
    check_multi_label,
    shares_of_labels,
)
from ws_pipeline.example_ids import ID_COLUMN
from ws_pipeline.labeling.models.evidence import MIN_LFS
from ws_pipeline.labeling.votes.vote_symbols import DEFAULT_BINS
from ws_pipeline.labeling.votes.wide_votes import SCORE_SUFFIX
from ws_pipeline.settings.base import Settings, nearest
from ws_pipeline.settings.label_model import (
    AutoLabelModelConfig,
    LabelModelConfig,
    MajorityVoteConfig,
    MatrixCompletionConfig,
    check_label_model,
)
from ws_pipeline.settings.votes import VoteColumns

ABSTAINS = "abstain"  # of the key no_votes
FROM_GOLD = "from_gold"  # of the key class_balance
Columns = Annotated[list[str], Field(min_length=1)]


class VotesSpec(Settings):
    """How the votes files of a task are written."""

    format: Literal["wide", "long"] = Field(
        "wide", description="wide: a column per LF; long: a row per vote, sources may come and go."
    )
    columns: VoteColumns = Field(VoteColumns(), description="Columns of a long table.")
    scores: Literal["vote", "class"] | None = Field(
        None,
        description="vote: a number beside each vote says how sure it is; class: there is a score for each "
        "class, and the highest is the vote. Default: vote if columns.score is given, else no scores.",
    )
    score_suffix: str = Field(
        SCORE_SUFFIX,
        min_length=1,
        description="End of the names of the columns of scores in a wide table, after the name of the LF.",
    )

    score_bins: int = Field(
        DEFAULT_BINS,
        ge=1,
        le=100,
        description="Bins of the scores of an LF, by quantiles, fixed at the first fit; with 1, scores are "
        "not used.",
    )

    @property
    def has_scores(self) -> bool:
        """Whether votes have scores."""
        return self.scores is not None or self.columns.score is not None

    @model_validator(mode="after")
    def _check(self) -> "VotesSpec":
        if self.format == "wide" and self.columns != VoteColumns():
            message = "columns are those of a long table; set format: long, or leave them out"
            raise ValueError(message)
        if self.score_suffix != SCORE_SUFFIX and (self.format, self.scores) != ("wide", "vote"):
            message = "score_suffix is for wide tables with scores: vote; set these, or leave it out"
            raise ValueError(message)
        if self.score_bins != DEFAULT_BINS and not self.has_scores:
            message = "score_bins is for votes with scores; set scores: vote or class, or leave it out"
            raise ValueError(message)
        return self


class FunctionsSpec(Settings):
    """Labeling functions that the pipeline applies itself, to the columns of the examples."""

    module: str = Field(
        min_length=1,
        description="Python file, relative to the pipeline.yaml, or dotted name of a module; every labeling "
        "function in it counts.",
    )
    processes: int = Field(1, ge=1, description="Processes that apply them; the votes are always the same.")
    fault_tolerant: bool = Field(
        default=False, description="Count a labeling function that fails on an example as an abstain."
    )


class TaskSpec(Settings):
    """One task: its classes, and how its label model is fitted."""

    classes: list[str] = Field(min_length=2, description="Names of the k classes; votes are positions in it.")
    superclasses: dict[str, list[str]] = Field(
        default={},
        description="Name of a superclass to at least two of the classes; a vote for it is for any of them.",
    )
    multi_label: bool = Field(
        default=False,
        description="An example may have any number of the classes: votes and gold labels are lists of them, "
        "and every class becomes a task of its own with the classes no and yes.",
    )
    label_lists: LabelListsSpec = Field(
        "complete",
        description="complete: the lists of a multi-label task are whole answers, so that a class that is "
        "not in one is a vote for no; partial: they tell only what was found; or LF name to one of these.",
    )
    class_balance: list[float] | str | None = Field(
        None,
        description="P(class) of the examples with votes, k positive numbers that sum to 1, or 'from_gold': "
        "that of the gold labels that the label model may use. Default: estimated, by matrix_completion "
        "taken as uniform.",
    )
    votes: VotesSpec = Field(VotesSpec(), description="How the votes files are written.")
    labeling_functions: FunctionsSpec | None = Field(
        None,
        description="Python file or module of labeling functions that vote on the examples, instead of votes "
        "files; or module, processes and fault_tolerant.",
    )
    lf_columns: Columns | None = Field(
        None,
        description="Columns of the votes files, sources of long ones, or functions among labeling_functions "
        "that are LFs, in this order; default all.",
    )
    label_model: LabelModelConfig = Field(
        AutoLabelModelConfig(), description="Which label model, and its settings; see its key kind."
    )
    min_confidence: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Examples whose most probable class has a probability below are not trained on.",
    )
    no_votes: str = Field(
        ABSTAINS,
        description="Class of the examples without any vote, which are then trained on; 'abstain': none.",
    )
    min_coverage: float = Field(
        0.1, ge=0, le=1, description="Share of the examples with a vote, below which a check warns."
    )
    max_drift: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Change of coverage, of conflicts or of the share of a class from one materialization to "
        "the next, above which a check warns.",
    )

    @field_validator("lf_columns")
    @classmethod
    def _check_lf_columns(cls, columns: list[str] | None) -> list[str] | None:
        """Refuse columns that are no LFs."""
        if columns is None:
            return None
        repeated = sorted({name for name in columns if columns.count(name) > 1})
        if repeated:
            message = f"the columns must be different, repeated: {repeated}"
            raise ValueError(message)
        if ID_COLUMN in columns:
            message = f"column '{ID_COLUMN}' holds the ids, it is no LF; leave it out"
            raise ValueError(message)
        return columns

    @field_validator("label_lists", mode="before")
    @classmethod
    def _check_label_lists(cls, found: Any) -> Any:
        return check_label_lists(found)

    @field_validator("labeling_functions", mode="before")
    @classmethod
    def _check_labeling_functions(cls, found: Any) -> Any:
        """Take the module alone for settings that say nothing else."""
        return {"module": found} if isinstance(found, str) else found

    @field_validator("class_balance", mode="before")
    @classmethod
    def _check_class_balance(cls, found: Any, info: ValidationInfo) -> Any:
        """Take shares by class name in the order of the classes; refuse what is no balance."""
        if info.data.get("multi_label") and found not in (None, FROM_GOLD):
            return shares_of_labels(found, info.data.get("classes", []))
        if isinstance(found, Mapping) and "classes" in info.data and set(found) == set(info.data["classes"]):
            return [found[name] for name in info.data["classes"]]
        if found is None or isinstance(found, list) or found == FROM_GOLD:
            return found
        message = (
            f"expected a list of numbers, one per class, class names to numbers, or '{FROM_GOLD}', "
            f"got {found!r}"
        )
        raise ValueError(message)

    @field_validator("label_model", mode="before")
    @classmethod
    def _check_label_model(cls, found: Any) -> Any:
        return check_label_model(found)

    @property
    def cardinality(self) -> int:
        """Number of classes k."""
        return len(self.classes)

    @property
    def holds_lists(self) -> bool:
        """Whether votes are lists of classes."""
        return False

    @property
    def names_in_votes(self) -> list[str]:
        """What votes may be for: the classes, then the superclasses."""
        return [*self.classes, *self.superclasses]

    @property
    def classes_of_superclasses(self) -> dict[str, list[int]]:
        """Name of each superclass to the numbers of its classes."""
        return {
            name: [self.classes.index(member) for member in members]
            for name, members in self.superclasses.items()
        }

    @property
    def class_without_votes(self) -> int | None:
        """Number of the class that examples without votes have; None: they have none."""
        return None if self.no_votes == ABSTAINS else self.classes.index(self.no_votes)

    @property
    def gold_splits(self) -> list[str]:
        """Splits whose gold labels the label model is anchored on and compared with the vote; never test."""
        return ["valid", "train"] if self.label_model.use_train_gold else ["valid"]

    @model_validator(mode="after")
    def _check(self) -> "TaskSpec":
        if len(set(self.classes)) < len(self.classes):
            message = f"class names must be unique, got {self.classes}"
            raise ValueError(message)
        _check_superclasses(self.superclasses, self.classes)
        if self.labeling_functions is not None and self.votes != VotesSpec():
            message = (
                "votes says how votes files are written, but labeling_functions make the votes; give one of "
                "the two"
            )
            raise ValueError(message)
        check_multi_label(
            multi_label=self.multi_label,
            label_lists=self.label_lists,
            no_votes=None if self.no_votes == ABSTAINS else self.no_votes,
            lf_columns=self.lf_columns,
            of_one_class=_of_one_class(self),
        )
        if isinstance(self.class_balance, list) and not self.multi_label:
            from ws_pipeline.labeling.models.class_balance import validate_class_balance

            validate_class_balance(self.class_balance, self.cardinality)
        if self.no_votes != ABSTAINS and self.no_votes not in self.classes and not self.multi_label:
            message = (
                f"no_votes: expected 'abstain' or one of the classes {self.classes}, got '{self.no_votes}'"
            )
            raise ValueError(message)
        if isinstance(self.label_model, MajorityVoteConfig) and self.class_balance is not None:
            message = "class_balance would be ignored by the label model of kind majority; leave it out"
            raise ValueError(message)
        if self.lf_columns is not None:
            _check_lfs(self.label_model, self.lf_columns)
        return self


def _of_one_class(task: TaskSpec) -> list[str]:
    """Keys that are set and are about votes for one class each."""
    is_set = {
        "superclasses": bool(task.superclasses),
        "scores": task.votes.has_scores,
        "votes.columns.time": task.votes.columns.time is not None,
    }
    return [key for key, value in is_set.items() if value]


def _check_superclasses(superclasses: Mapping[str, list[str]], classes: list[str]) -> None:
    """Refuse superclasses that are no sets of classes, and those that are called as a class."""
    for name, members in superclasses.items():
        unknown = [member for member in members if member not in classes]
        if unknown:
            message = f"superclasses.{name}: '{unknown[0]}' is no class, {nearest(unknown[0], classes)}"
            raise ValueError(message)
        if len(set(members)) < len(members) or not 2 <= len(members) < len(classes):
            message = (
                f"superclasses.{name}: expected different classes, at least two and not all, got {members}"
            )
            raise ValueError(message)
        if name in classes:
            message = f"superclasses.{name}: there is a class of this name; call it something else"
            raise ValueError(message)


def _check_lfs(label_model: LabelModelConfig, columns: list[str]) -> None:
    """Refuse LFs that the label model cannot be fitted on, or that it knows and that are not listed."""
    if isinstance(label_model, MatrixCompletionConfig) and len(columns) < MIN_LFS:
        message = (
            f"lf_columns: matrix_completion needs at least {MIN_LFS} LFs, got {columns}; list more, or take "
            "another kind of label_model"
        )
        raise ValueError(message)
    unknown = [name for name in getattr(label_model, "known_accuracy", {}) if name not in columns]
    if unknown:
        message = f"label_model.known_accuracy: '{unknown[0]}' is not among the lf_columns {columns}"
        raise ValueError(message)
