"""Fashion-MNIST: articles of clothing, 28 x 28 grey."""

from pathlib import Path

from tune_ad.data.declaration import Arrays, DataSet, Registry
from tune_ad.data.fetch.idx import read_idx_folder
from tune_ad.data.fetch.torchvision_files import in_idx_files


def _from_debian(package: Path) -> Arrays:
    return read_idx_folder(package / "usr/share/datasets/fashion-mnist", ".gz")


DATA_SET = DataSet(
    name="fashion_mnist",
    alias="fmnist",
    classes=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    about="Fashion-MNIST, all 70,000 images, official split and order",
    shape=(1, 28, 28),
    torchvision=in_idx_files("FashionMNIST"),
    registries=(Registry("apt-get", "dataset-fashion-mnist", _from_debian),),
    sha256="26e6122881379ebe4945786a0f208a96db9deaadb31cad8decf86249cc31934b",
)
