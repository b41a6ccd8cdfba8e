"""Writes the columns of the HPARAMS table of a study, and its layout of curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from tune_ad.tensorboard.domains import Choices, Domain, Interval, column_names
from tune_ad.tensorboard.event_files import write_once
from tune_ad.tensorboard.layout import Chart, layout

_COLUMN_TYPES = {
    "bool": api_pb2.DATA_TYPE_BOOL,
    "number": api_pb2.DATA_TYPE_FLOAT64,
    "string": api_pb2.DATA_TYPE_STRING,
}


def write_study(
    folder: Path, domains: Mapping[str, Domain], metrics: Sequence[tuple[str, str]]
) -> None:
    """Declare the columns of the HPARAMS table, in the root folder of a study.

    TensorBoard shows five parameters and five metrics until the user selects more. Both are in the
    order of the arguments, but constant parameters come last, in alphabetical order.

    Writing the same columns again has no effect; different columns (of an extended study) replace
    the old ones. A running TensorBoard shows them after a restart. Earlier trials keep their cells
    if new varying parameters come after the old ones.

    Args:
        folder: the ``--logdir`` of TensorBoard, which contains the folders of the trials.
        domains: every parameter of every detector of the study, in order (see `merge_domains`).
        metrics: (tag of a scalar, name of its column), the most important first.
    """
    names = column_names(domains)
    experiment = api_pb2.Experiment(
        hparam_infos=[_column(names[name], name, domains[name]) for name in domains],
        metric_infos=[
            api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag), display_name=column)
            for tag, column in metrics
        ],
    )
    data = HParamsPluginData(experiment=experiment)
    write_once(Path(folder), "study", [hparams_value(metadata.EXPERIMENT_TAG, data)])


def write_layout(folder: Path, categories: Mapping[str, Mapping[str, Chart]]) -> None:
    """Declare the charts of the Custom Scalars tab, in the root folder of a study.

    Args:
        folder: the ``--logdir`` of TensorBoard.
        categories: the charts of each category, by their titles.
    """
    write_once(Path(folder), "layout", [layout(categories)])


def hparams_value(tag: str, data: Any) -> Any:  # noqa: ANN401
    """A message of the HPARAMS tab as a value of a summary."""
    about = metadata.create_summary_metadata(data)
    return Summary.Value(tag=tag, metadata=about, tensor=metadata.NULL_TENSOR)


def _column(name: str, label: str, domain: Domain) -> Any:  # noqa: ANN401
    info = api_pb2.HParamInfo(
        name=name, display_name=label, type=_COLUMN_TYPES[domain.kind], differs=domain.varies
    )
    if isinstance(domain, Interval):
        info.domain_interval.min_value = domain.low
        info.domain_interval.max_value = domain.high
        info.description = "whole number" if domain.is_int else "number"
    elif isinstance(domain, Choices):
        info.domain_discrete.extend(domain.cells)
    elif domain.kind == "bool":
        info.domain_discrete.extend([False, True])
    return info
