"""A trained replica as files: what scoring needs of it, and nothing else.

Networks are safetensors, which contain numbers only. A fitted estimator of scikit-learn has no
such form: it is stored by joblib, which runs code when it is read, so it must come from a trusted
source.
"""

import io
import pickle
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from tune_ad.data import Task
from tune_ad.data.scaling import Range
from tune_ad.detectors.base import Detector
from tune_ad.errors import UserError, one_line
from tune_ad.storage.kept_models import ESTIMATOR, WEIGHTS
from tune_ad.training.replicas.layout import in_training_layout
from tune_ad.training.replicas.replica import Replica, build

LONGEST_NAME = 80
MODULE, NOISE, RANGE = "module.", "noise.", "range"
NOT_FITTED = {*vars(nn.Module()), "config", "shape"}
"""The attributes of every module."""
PLAIN = (bool, int, float, str, tuple, frozenset)
Files = dict[str, bytes]
"""The contents of the files of a model, by their suffix."""


def model_name(position: int, task: Task) -> str:
    """The name of the files of a task's model, without suffix, as in "3-cat".

    Args:
        position: the position of the task in its suite.
        task: the task.
    """
    plain = re.sub(r"[^\w.-]+", "_", task.class_name or task.name).strip("._-")
    return f"{position}-{plain}"[:LONGEST_NAME]


class KeptState(NamedTuple):
    """What scoring needs of a replica besides its detector and configuration.

    Attributes:
        module: parameters and buffers by name, after `Detector.finish`.
        noise: the random numbers of scoring, by name.
        range: the range of a fitted scaling; None for other scalings.
        fitted: what training or `Detector.finish` has set besides parameters and buffers, such as
            a fitted estimator, by name of the attribute.
    """

    module: Mapping[str, Tensor]
    noise: Mapping[str, Tensor]
    range: Range | None
    fitted: Mapping[str, Any]

    @classmethod
    def of(cls, replica: Replica) -> "KeptState":
        """The state of a trained replica, whose `finish` is called if that has not been done."""
        replica.prepare_scoring()
        module = replica.module
        fresh = vars(build(type(module), module.config, module.shape, replica.owner))
        fitted = {
            name: value
            for name, value in vars(module).items()
            if name not in NOT_FITTED and not _same(value, fresh.get(name))
        }
        return cls(module.state_dict(), replica.score_noise, replica.range, fitted)

    def to_files(self) -> Files:
        """The contents of the files.

        Raises:
            UserError: if a fitted object cannot be stored.
        """
        from safetensors.torch import save

        tensors = {f"{MODULE}{name}": value for name, value in self.module.items()}
        tensors |= {f"{NOISE}{name}": value for name, value in self.noise.items()}
        if self.range is not None:
            tensors[RANGE] = torch.tensor(self.range, dtype=torch.float64)
        files = {WEIGHTS: save({name: _alone(tensor) for name, tensor in tensors.items()})}
        if self.fitted:
            files[ESTIMATOR] = _pickled(self.fitted)
        return files

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], place: str) -> "KeptState":
        """The inverse of `to_files`.

        Args:
            files: the contents of the files, by suffix.
            place: the path of the model without suffix, for messages.

        Raises:
            UserError: if a file is damaged.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            tensors = load(files[WEIGHTS])
        except SafetensorError as error:
            raise UserError(f"{place}{WEIGHTS}: damaged ({error}); copy it again") from error
        fitted: dict[str, Any] = {}
        if ESTIMATOR in files:
            import joblib

            try:
                fitted = joblib.load(io.BytesIO(files[ESTIMATOR]))
            except Exception as error:  # damaged pickles raise anything
                raise UserError(
                    f"{place}{ESTIMATOR}: damaged, or of other versions of its packages "
                    f"({one_line(error)}); copy it again, or install the versions in model.json"
                ) from error
        limits = tensors.pop(RANGE, None)
        return cls(
            module=_below(MODULE, tensors),
            noise=_below(NOISE, tensors),
            range=None if limits is None else Range(*limits.tolist()),
            fitted=fitted,
        )

    def put_into(self, module: Detector[Any], place: str) -> Detector[Any]:
        """Restore the state in a detector of the same configuration; in evaluation mode.

        Args:
            module: the detector.
            place: the path of the model, for messages.

        Raises:
            UserError: if the state belongs to another detector or configuration.
        """
        try:
            module.load_state_dict(dict(self.module))
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"{place} does not fit {type(module).__name__} with the stored configuration "
                f"({reason}); use the version of the detector that wrote it"
            ) from error
        for name, value in self.fitted.items():
            setattr(module, name, value)
        return in_training_layout(module).eval()


def _alone(tensor: Tensor) -> Tensor:
    """A copy on the CPU that shares its memory with no other tensor, as safetensors ask for."""
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def _pickled(fitted: Mapping[str, Any]) -> bytes:
    """Fitted objects as bytes: by joblib, or with their classes if these are in a user's own file.

    Raises:
        UserError: if one of them cannot be stored.
    """
    import cloudpickle
    import joblib

    buffer = io.BytesIO()
    try:
        joblib.dump(dict(fitted), buffer)
        return buffer.getvalue()
    except (pickle.PicklingError, AttributeError, TypeError):  # no module has the class
        try:
            content: bytes = cloudpickle.dumps(dict(fitted))
            return content
        except Exception as error:  # an object of a user's own class may raise anything
            raise UserError(
                f"{', '.join(fitted)} cannot be stored ({one_line(error)}); let the detector hold "
                "its state in buffers, or in objects that can be pickled"
            ) from error


def _same(one: Any, other: Any) -> bool:  # noqa: ANN401
    """Whether two attributes are certainly equal; False for objects that cannot be compared."""
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        both = isinstance(one, Tensor) and isinstance(other, Tensor)
        return both and one.shape == other.shape and bool(torch.equal(one.cpu(), other.cpu()))
    return one is other or (type(one) is type(other) and isinstance(one, PLAIN) and one == other)


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, without it."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
