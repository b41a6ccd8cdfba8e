import json
from dataclasses import asdict

import pytest

from tune_ad.data import Task, against, available, class_tasks, one_class, whole
from tune_ad.errors import UserError


def test_one_class_knows_aliases_and_class_names():
    pullover = Task("fashion_mnist/2", "fashion_mnist", 2, (), "Pullover")
    assert one_class("fmnist", 2) == pullover
    assert pullover.title == "fashion_mnist/Pullover"
    assert one_class("my_photos", 0) == Task("my_photos/0", "my_photos", 0, ())
    assert one_class("my_photos", 0, "beach").title == "my_photos/beach"
    assert one_class("mnist", 10).class_name == "", "a split refuses a class that does not exist"


def test_a_title_names_the_class_of_a_one_class_task_and_is_else_the_name():
    assert one_class("cifar", 0).title == "cifar10/airplane"
    assert one_class("my_photos", 3).title == "my_photos/3"
    assert whole("mnist").title == "mnist"
    assert against("cifar", ["svhn", "mnist"]).title == "cifar10-vs-svhn+mnist"


def test_against_names_its_parts():
    task = against("cifar", ["svhn", "my_photos"])
    assert task == Task("cifar10-vs-svhn+my_photos", "cifar10", None, ("svhn", "my_photos"))


def test_a_class_is_not_set_against_other_data_sets():
    with pytest.raises(UserError, match="class 3 of cifar10 is set against svhn") as refusal:
        Task("cifar10/3-vs-svhn", "cifar10", 3, ("svhn",))
    assert "\n" not in str(refusal.value)


def test_a_task_is_plain_data():
    for task in (one_class("cifar", 3), against("mnist", ["fmnist"]), whole("mnist")):
        restored = Task(**json.loads(json.dumps(asdict(task))))
        assert restored == task
        assert restored.title == task.title
        assert hash(restored) == hash(task)


def test_a_task_of_an_older_record_has_no_class_name_and_keeps_its_name():
    stored = {"name": "cifar10/3", "source": "cifar10", "normal_class": 3, "outsiders": []}
    assert Task(**stored).title == "cifar10/3"
    assert Task(**stored).name == one_class("cifar", 3).name


@pytest.mark.parametrize(
    ("source", "outsiders", "words"),
    [
        ("mnist", [], "no outsider set is given; name at least one"),
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


def test_class_tasks_of_a_loaded_set_have_its_class_names(toy):
    image_set = toy([1, 1], [1, 1], name="mine")
    assert [(task.name, task.title) for task in class_tasks(image_set, ["class 1"])] == [
        ("mine/1", "mine/class 1")
    ]
    assert [task.class_name for task in class_tasks(image_set)] == ["class 0", "class 1"]


@pytest.mark.parametrize("chosen", [10, -1, "lion", "10", "9" * 5000, ""])
def test_an_unknown_class_lists_the_legal_ones(chosen):
    with pytest.raises(UserError, match=r"cifar10 has no class .*0 \(airplane\), .*9 \(truck\)"):
        class_tasks(available()["cifar"], [chosen])


def test_a_class_named_twice_is_refused():
    with pytest.raises(UserError, match="cat, 3 name one class twice"):
        class_tasks(available()["cifar"], ["cat", 3])
