"""Every error and warning that ws_pipeline raises on purpose.

Those that users of Snorkel catch are also of the builtin type that Snorkel raises there.  An error that
comes from a user's own function is also of that error's type (:func:`error_like`).

::

    WsPipelineError
    ├── InvalidInputError (ValueError)      the caller can fix it; the message says how
    │   ├── SettingsError                   a setting is unknown or out of range
    │   │   ├── SettingTypeError (TypeError)    ... or of the wrong type: what an argument would be
    │   │   └── PipelineSpecError           ... in a pipeline.yaml
    │   ├── ExampleIdError                  example ids that are null, repeated or in two shards
    │   ├── LabelMatrixError                votes or LF names
    │   │   ├── VoteTypeError (TypeError)       ... votes that are no numbers
    │   │   └── TooLargeError (MemoryError)     ... more of them than the memory holds
    │   ├── WorseThanVoteError              labels that are worse than those of the plain vote
    │   ├── LabelingFunctionError           a labeling function that fails, or returns no vote
    │   ├── VoteCountsError                 counts that do not belong together
    │   ├── ClassBalanceError               class balance or the gold labels it comes from
    │   ├── ExamplesError                   features, splits or gold labels
    │   │   └── TextError                       ... texts that no features can be made of
    │   ├── DatasetError                    fields or labels of a DictDataset
    │   │   └── NoDatasetError (AssertionError)  something else in the place of a DictDataset
    │   ├── TaskGraphError                  tasks, operations and modules that do not fit
    │   │   └── UnknownNameError (KeyError)  ... a task, operation or field that is not there
    │   ├── OperationError                  a module fails in a forward pass
    │   ├── MetricError                     a metric that is unknown or cannot be computed
    │   │   └── UndefinedMetricError        ... because of the gold labels, such as those of one class only
    │   ├── ExportError                     an export of a labelling tool that cannot be imported as it is
    │   └── FileFormatError                 a file that is damaged, foreign or of another version
    ├── FileAccessError (OSError)           a file or folder that cannot be read or written
    │   └── MissingFileError (FileNotFoundError)   ... because it is not there
    ├── NotFittedError (ValueError, AttributeError)   predict before fit
    ├── MissingPackageError (ImportError)   an optional package is not installed
    ├── SnorkelImportError (ImportError)    a module or name of Snorkel that is not there under its name
    ├── SnorkelNameError (AttributeError)   ... the same, asked for as an attribute
    ├── DeviceError (RuntimeError)          the requested device is not there
    └── TrainingError (RuntimeError)        the loss is not finite, or grows without bound

    WsPipelineWarning (UserWarning)
    ├── GoldFeatureWarning                  a feature column that equals the gold labels of a task
    ├── SingleRowBatchWarning               a batch of one example that a model with batch norm leaves out
    ├── FewDimensionsWarning                texts that give fewer features than were asked for
    ├── LeftOutColumnWarning                columns of a table that are no features, or no votes
    ├── RepeatedVotesWarning                a source that votes more than once on an example
    ├── SilentLFWarning                     a labeling function that never votes
    ├── NoGoldWarning                       what gold labels were to decide is estimated, there are none
    ├── GoldClassesWarning                  gold labels without classes that votes are often for
    ├── GoldVotesWarning                    a labeling function that equals the gold labels
    ├── EvidenceWarning                     the votes do not tell how accurate labeling functions are
    │   ├── OneClassVotesWarning            ... all of them are for one class
    │   ├── NoOverlapWarning                ... labeling functions that never vote where another one does
    │   ├── FewVotersWarning                ... only two of them vote together
    │   ├── NoAgreementWarning              ... no two of them ever agree
    │   ├── UnanimousVotesWarning           ... no two of them ever disagree
    │   └── CopiedLFsWarning                ... some are copies of each other
    ├── UnvotedClassWarning                 a class that no labeling function votes for
    ├── CatchAllLFWarning                   the fit was led astray by one that votes one class nearly always
    ├── ConvergenceWarning                  the fit stopped before the loss settled
    ├── DegenerateWeightsWarning            the fit cannot tell the labeling functions apart
    ├── SharedModuleWarning                 two tasks bring two modules of one name; the first is used
    └── UnmatchedLabelsWarning              labels without a task, or a task without labels
"""

from __future__ import annotations

from typing import Any, TypeVar


class WsPipelineError(Exception):
    """Base of all errors of this package."""


class InvalidInputError(WsPipelineError, ValueError):
    """Input that breaks a documented contract; the message names what, where and the next step."""


class SettingsError(InvalidInputError):
    """A setting is unknown, of the wrong type or out of range."""


class SettingTypeError(SettingsError, TypeError):
    """A setting is unknown or of the wrong type, as an unexpected keyword argument or a text would be."""


class PipelineSpecError(SettingsError):
    """A pipeline.yaml cannot be used as it stands."""


class ExampleIdError(InvalidInputError):
    """Example ids that are null, repeated, of another type, or in two shards."""


class LabelMatrixError(InvalidInputError):
    """A label matrix with wrong votes or LF names."""


class VoteTypeError(LabelMatrixError, TypeError):
    """Votes that are no numbers, such as names of classes."""


class TooLargeError(LabelMatrixError, MemoryError):
    """The request needs more memory than there is; nothing was allocated."""


class WorseThanVoteError(InvalidInputError):
    """Labels are worse than those of the plain vote, by more than chance explains."""


class LabelingFunctionError(InvalidInputError):
    """A labeling function failed on a data point, or returned something that is no vote."""


class VoteCountsError(InvalidInputError):
    """Vote counts that cannot be added, or that are inconsistent."""


class ClassBalanceError(InvalidInputError):
    """A class balance that is not a positive distribution over the classes."""


class ExamplesError(InvalidInputError):
    """Examples with wrong features, splits or gold labels."""


class TextError(ExamplesError):
    """Texts that no features can be made of, or what is to make them."""


class DatasetError(InvalidInputError):
    """Fields or labels of a dataset that do not fit together."""


class NoDatasetError(DatasetError, AssertionError):
    """Something else was given where a DictDataset is needed."""


class TaskGraphError(InvalidInputError):
    """Tasks whose operations or modules contradict each other."""


class UnknownNameError(TaskGraphError, KeyError):
    """There is no task, operation or field of that name."""

    def __str__(self) -> str:
        return Exception.__str__(self)  # KeyError would put the message in quotes


class OperationError(InvalidInputError):
    """A module failed in a forward pass; the message names the operation."""


class MetricError(InvalidInputError):
    """A metric that is unknown or not defined for these labels."""


class UndefinedMetricError(MetricError):
    """A metric that these gold labels give no value, such as recall without a positive one."""


class ExportError(InvalidInputError):
    """An export of a labelling tool, or a table of answers, that cannot be imported as it is."""


class FileFormatError(InvalidInputError):
    """A file that is damaged, foreign, or written by another format version."""


class FileAccessError(WsPipelineError, OSError):
    """A file or folder cannot be read or written: no permission, no space, a folder in place of a file."""


class MissingFileError(FileAccessError, FileNotFoundError):
    """A file or folder is not there."""


class NotFittedError(WsPipelineError, ValueError, AttributeError):
    """The model has to be fitted or loaded first."""


class MissingPackageError(WsPipelineError, ImportError):
    """An optional package that is needed here is not installed."""


class SnorkelImportError(WsPipelineError, ImportError):
    """A module or name of Snorkel has no counterpart here; the message says what to use instead."""


class SnorkelNameError(WsPipelineError, AttributeError):
    """A name of Snorkel has no counterpart here; the message says what to use instead."""


class DeviceError(WsPipelineError, RuntimeError):
    """The requested compute device is not available on this machine."""


class TrainingError(WsPipelineError, RuntimeError):
    """Training stopped because the loss is not finite, or grows without bound."""


E = TypeVar("E", bound=WsPipelineError)


def error_like(kind: type[E], message: str, cause: Exception) -> E:
    """Make an error that is also of the type of the foreign error behind it.

    A function of the user's own may fail in any way; code that catches its error where it is called
    still does when our error takes its place.

    Parameters
    ----------
    kind
        The class of the error.
    message
        Its message.
    cause
        The error behind it, whose attributes are taken over.

    Returns
    -------
    kind
        Of ``kind`` alone where Python cannot join the two types.
    """
    try:
        error: E = _joined(kind, type(cause))(message)
    except TypeError:
        return kind(message)
    error.__dict__.update({name: value for name, value in vars(cause).items() if name != "__notes__"})
    return error


def _joined(kind: Any, other: Any) -> Any:
    """The class of errors of both types: one of them if it is of the other type already."""
    if issubclass(kind, other):
        return kind
    if issubclass(other, kind):
        return other

    def new(cls: Any, *arguments: Any) -> Any:
        return other.__new__(cls, *arguments)

    def reduce(error: Any) -> Any:
        return _restore, (kind, other, str(error), vars(error))

    members = {"__new__": new, "__reduce__": reduce, "__module__": kind.__module__, "__doc__": kind.__doc__}
    plain = {"__init__": Exception.__init__, "__str__": Exception.__str__}
    return type(kind.__name__, (kind, other), members | plain)


def _restore(kind: Any, other: Any, message: str, attributes: dict[str, Any]) -> Any:
    """Make an error again in another process."""
    error = _joined(kind, other)(message)
    error.__dict__.update(attributes)
    return error


class WsPipelineWarning(UserWarning):
    """Base of all warnings of this package."""


class GoldFeatureWarning(WsPipelineWarning):
    """A feature column equals the gold labels of a task, so that a model fed with it has nothing to learn."""


class SingleRowBatchWarning(WsPipelineWarning):
    """The last mini-batch would have one example, and is left out, since batch norm cannot train on it."""


class FewDimensionsWarning(WsPipelineWarning):
    """Texts give fewer features than the settings ask for."""


class LeftOutColumnWarning(WsPipelineWarning):
    """Columns of a table hold something else than features or votes, so that no model is fed with them."""


class RepeatedVotesWarning(WsPipelineWarning):
    """A source votes more than once on an example; its last vote is taken."""


class ScoreScaleWarning(WsPipelineWarning):
    """Scores fall into one of several bins only, which were fixed by other scores."""


class SilentLFWarning(WsPipelineWarning):
    """A labeling function votes on no example at all."""


class NoGoldWarning(WsPipelineWarning):
    """What gold labels were to decide is estimated, since there are none."""


class GoldClassesWarning(WsPipelineWarning):
    """Gold labels lack classes that votes are often for, so that they cannot choose between models."""


class GoldVotesWarning(WsPipelineWarning):
    """A labeling function equals the gold labels wherever both are known: it may be the gold labels."""


class EvidenceWarning(WsPipelineWarning):
    """The votes do not tell how accurate labeling functions are; the message says why and what is done."""


class OneClassVotesWarning(EvidenceWarning):
    """All votes are for one class."""


class NoOverlapWarning(EvidenceWarning):
    """Labeling functions never vote on an example that another one votes on."""


class FewVotersWarning(EvidenceWarning):
    """Fewer than three labeling functions vote on the same examples."""


class NoAgreementWarning(EvidenceWarning):
    """No two labeling functions ever cast the same vote on an example."""


class UnanimousVotesWarning(EvidenceWarning):
    """No two labeling functions ever disagree, and the fit contradicted them."""


class CopiedLFsWarning(EvidenceWarning):
    """Labeling functions cast the same votes on every example, as copies do."""


class UnvotedClassWarning(WsPipelineWarning):
    """No labeling function votes for a class."""


class CatchAllLFWarning(WsPipelineWarning):
    """A labeling function votes one class nearly always, and the fit takes votes for no evidence."""


class ConvergenceWarning(WsPipelineWarning):
    """The last epoch came before the loss had settled."""


class DegenerateWeightsWarning(WsPipelineWarning):
    """All labeling functions got the same weight while most of mu lies at the clamp."""


class SharedModuleWarning(WsPipelineWarning):
    """Two tasks bring two modules of one name; both use the first one."""


class UnmatchedLabelsWarning(WsPipelineWarning):
    """Labels that no task of the classifier is for, or a task that no train dataset has labels of."""
