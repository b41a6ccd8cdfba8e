"""Short names of metrics and score variants in tests, as people read them."""

from tune_ad.storage.earlier.schema1 import metric_named, variant_named
from tune_ad.storage.metric import Metric


def named(metrics):
    """Values by metric from values by short name, as in {"test_auroc/svhn": [0.5]}."""
    return {
        name if isinstance(name, Metric) else metric_named(name): values
        for name, values in metrics.items()
    }


def variants(variants):
    """Values by variant and metric from those by short names, such as "T=0" and "test_auroc"."""
    return {variant_named(name): named(metrics) for name, metrics in variants.items()}


def short(metrics):
    """Values by the short name of each metric."""
    return {str(metric): values for metric, values in metrics.items()}


def short_variants(variants):
    """Values by the short names of each score variant and of its metrics."""
    return {str(variant): short(metrics) for variant, metrics in variants.items()}
