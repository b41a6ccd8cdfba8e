import json
from dataclasses import asdict

import pytest

from tune_ad.data import Task, against, available, class_tasks, one_class, whole
from tune_ad.errors import UserError


def test_one_class_knows_aliases():
    assert one_class("fmnist", 2) == Task("fashion_mnist/2", "fashion_mnist", 2, ())
    assert one_class("my_photos", 0).name == "my_photos/0"


def test_against_names_its_parts():
    task = against("cifar", ["svhn", "my_photos"])
    assert task == Task("cifar10-vs-svhn+my_photos", "cifar10", None, ("svhn", "my_photos"))
    assert against("cifar", ["svhn"], normal_class=3).name == "cifar10/3-vs-svhn"


def test_a_task_is_plain_data():
    for task in (one_class("cifar", 3), against("mnist", ["fmnist"]), whole("mnist")):
        back = Task(**json.loads(json.dumps(asdict(task))))
        assert back == task
        assert hash(back) == hash(task)


@pytest.mark.parametrize(
    ("source", "outsiders", "words"),
    [
        ("mnist", [], "at least one outsider"),
        ("mnist", ["mnist"], "differ"),
        ("cifar", ["cifar10"], "differ"),
        ("mnist", ["fmnist", "fashion_mnist"], "differ"),
        ("mnist", "svhn", "list of names"),
    ],
)
def test_meaningless_outsiders_are_refused(source, outsiders, words):
    with pytest.raises(UserError, match=words):
        against(source, outsiders)


def test_a_whole_data_set_has_no_anomalies():
    assert whole("fmnist") == Task("fashion_mnist", "fashion_mnist", None, ())
    assert whole("my_photos").outsiders == ()


def test_class_tasks_take_numbers_and_names():
    cifar = available()["cifar"]
    assert [task.normal_class for task in class_tasks(cifar, None)] == list(range(10))
    chosen = class_tasks(cifar, ["Cat", 5, "7", "ship"])
    assert [task.name for task in chosen] == ["cifar10/3", "cifar10/5", "cifar10/7", "cifar10/8"]
    assert class_tasks(available()["mnist"], ["4"]) == [one_class("mnist", 4)]


def test_class_tasks_of_a_loaded_set(toy):
    assert [task.name for task in class_tasks(toy([1, 1], [1, 1], name="mine"), ["class 1"])] == [
        "mine/1"
    ]


@pytest.mark.parametrize("given", [10, -1, "lion", "10", ""])
def test_an_unknown_class_lists_the_legal_ones(given):
    with pytest.raises(UserError, match=r"cifar10 has no class .*0 \(airplane\), .*9 \(truck\)"):
        class_tasks(available()["cifar"], [given])


def test_a_class_named_twice_is_refused():
    with pytest.raises(UserError, match="cat, 3 name one class twice"):
        class_tasks(available()["cifar"], ["cat", 3])
