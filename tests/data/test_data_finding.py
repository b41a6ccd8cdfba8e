"""Names, aliases and the rules of the data root."""

import sys
from pathlib import Path

import pytest

from tune_ad.data import available, check, data_root, find, load, locate, npz_path, sets, write_npz
from tune_ad.errors import UserError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TUNE_AD_DATA", raising=False)


def test_default_root_need_not_exist(tmp_path):
    assert data_root() == Path("data")
    assert locate("mnist") is None
    assert locate("digits") == "embedded"
    assert list(tmp_path.iterdir()) == []


def test_the_option_comes_before_the_variable(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.setenv("TUNE_AD_DATA", str(tmp_path / "a"))
    assert data_root() == tmp_path / "a"
    assert data_root(tmp_path / "b") == tmp_path / "b"
    monkeypatch.setenv("TUNE_AD_DATA", "")
    assert data_root() == Path("data")


@pytest.mark.parametrize("chosen", ["absent", "file", ""])
def test_a_chosen_root_must_be_a_folder(tmp_path, monkeypatch, chosen):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="--data-root"):
        data_root(chosen)
    monkeypatch.setenv("TUNE_AD_DATA", chosen)
    if chosen:
        with pytest.raises(UserError, match="TUNE_AD_DATA: '"):
            load("mnist")


def test_a_default_root_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "data").write_text("")
    with pytest.raises(UserError, match="the default data root: 'data' is not a folder"):
        data_root()


def test_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "images").mkdir()
    assert data_root("~/images") == tmp_path / "images"


def test_alias_and_name_are_the_same_set():
    assert find("cifar") is find("cifar10")
    assert npz_path("fmnist", ".") == Path("fashion_mnist.npz")


@pytest.mark.parametrize("name", ["mnits", "", "../secret", ".hidden", "a/b"])
def test_an_unknown_name_lists_what_is_near(tmp_path, toy, name):
    write_npz(tmp_path / "mine.npz", toy([2, 2], [1, 1]))
    with pytest.raises(UserError, match="unknown data set") as caught:
        load(name, tmp_path)
    message = str(caught.value)
    assert "mine" in message
    assert "cifar10" in message
    assert "\n" not in message
    assert ("(did you mean mnist" in message) == (name == "mnits")


@pytest.mark.parametrize(
    ("name", "nearest"), [("MNIST", "mnist"), ("fashion", "fashion_mnist"), ("digit", "digits")]
)
def test_the_nearest_names_are_suggested(tmp_path, name, nearest):
    with pytest.raises(UserError, match="unknown data set") as caught:
        find(name, tmp_path)
    assert f"unknown data set {name!r} (did you mean {nearest}" in str(caught.value)


def test_a_users_file_is_found_checked_and_loaded(tmp_path, toy):
    write_npz(tmp_path / "mine.npz", toy([2, 2], [1, 1]))
    assert find("mine", tmp_path).alias == "mine"
    assert locate("mine", tmp_path) == "npz"
    assert check("mine", tmp_path) == ((1, 4, 4), 4, 2)
    mine = load("mine", tmp_path)
    assert (mine.name, mine.classes) == ("mine", ("0", "1"))


def test_a_file_with_the_short_name_of_a_set_is_not_passed_over(tmp_path, toy):
    write_npz(tmp_path / "fmnist.npz", toy([2, 2], [1, 1]))
    line = r"fmnist\.npz is not read; rename it to fashion_mnist\.npz"
    for read in (load, check, locate, npz_path):
        for name in ("fmnist", "fashion_mnist"):
            with pytest.raises(UserError, match=line):
                read(name, tmp_path)
    write_npz(tmp_path / "fashion_mnist.npz", toy([2, 2], [1, 1]))
    assert locate("fmnist", tmp_path) == "npz"
    assert locate("digits", tmp_path) == "embedded"


def test_check_refuses_a_bad_file_and_leaves_other_sources_alone(tmp_path):
    assert check("digits", tmp_path) is None
    assert check("mnist", tmp_path) is None
    (tmp_path / "mnist.npz").write_text("no archive")
    with pytest.raises(UserError, match=r"mnist\.npz: not a whole"):
        check("mnist", tmp_path)
    with pytest.raises(UserError, match=r"mnist\.npz: not a whole"):
        load("mnist", tmp_path)


def test_torchvision_files_are_located_when_all_are_there(tmp_path):
    for name in available()["cifar"].torchvision.files:
        assert locate("cifar", tmp_path) is None
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert locate("cifar", tmp_path) == "torchvision"


def test_a_new_file_is_a_new_data_set(tmp_path, monkeypatch):
    text = "from tune_ad.data import DataSet\nDATA_SET = DataSet('brand_new', alias='new')\n"
    (tmp_path / "brand_new.py").write_text(text)
    monkeypatch.setattr(sets, "__path__", [*sets.__path__, str(tmp_path)])
    monkeypatch.setitem(sys.modules, "tune_ad.data.sets.brand_new", None)
    del sys.modules["tune_ad.data.sets.brand_new"]
    assert available()["new"].name == "brand_new"
    assert find("new") is find("brand_new")
