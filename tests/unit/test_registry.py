"""Registries take entries from lasem, from installed packages, and from modules that the user names."""

import sys
from importlib.metadata import EntryPoint

import pytest

from lasem import registry
from lasem.errors import SpecError
from lasem.registry import Registry, load_plugins


class Thing:
    """What the entries of these tests are."""


class Own(Thing):
    """An entry."""


@pytest.fixture
def things(monkeypatch):
    points = [
        EntryPoint("installed", "collections:OrderedDict", "lasem.things"),
        EntryPoint("broken", "no_such_module_anywhere:Thing", "lasem.things"),
        EntryPoint("twice", "collections:OrderedDict", "lasem.things"),
        EntryPoint("twice", "collections:Counter", "lasem.things"),
        EntryPoint("first", "no_such_module_anywhere:First", "lasem.things"),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group == "lasem.things" else [])
    return Registry("thing", group="lasem.things", builtin={"first": Own, "lazy": "collections:Counter"})


def test_names_of_all_sources_are_listed_even_if_one_is_broken(things):
    assert list(things) == ["first", "lazy", "installed", "broken", "twice"]
    assert len(things) == 5


def test_entries_are_imported_when_they_are_looked_up(things):
    import collections

    assert things["first"] is Own
    assert things["lazy"] is collections.Counter
    assert things["installed"] is collections.OrderedDict
    assert things["installed"] is things["installed"]


def test_a_broken_entry_point_is_named_with_its_cause(things):
    with pytest.raises(SpecError, match=r"thing 'broken' must be importable from 'no_such_module.*ModuleNotFoundError"):
        things["broken"]
    assert things["installed"]


def test_a_name_that_two_packages_add_is_refused(things):
    with pytest.raises(SpecError, match=r"thing 'twice' must be added by one package \(got collections:Counter, "):
        things["twice"]


def test_an_unknown_name_gets_the_nearest(things):
    assert "frist" not in things
    assert things.get("frist", "missing") == "missing"
    with pytest.raises(SpecError, match="unknown thing 'frist'; did you mean 'first'"):
        things["frist"]


def test_an_entry_can_be_registered_once(things):
    things.register("mine", Own)
    things.register("mine", Own)
    assert things["mine"] is Own
    with pytest.raises(SpecError, match="must be new"):
        things.register("mine", Thing)
    with pytest.raises(SpecError, match="must be new"):
        things.register("first", Thing)


def test_an_entry_of_the_wrong_class_is_refused():
    strict = Registry("thing", group="none.such", builtin={}, base=Thing)
    strict.register("class", Own)
    strict.register("instance", Own())
    with pytest.raises(SpecError, match="'number' must be of class Thing"):
        strict.register("number", 3)


def test_built_in_entries_never_ask_for_entry_points(monkeypatch):
    monkeypatch.setattr(registry, "entry_points", pytest.fail)
    assert Registry("thing", group="lasem.things", builtin={"first": Own})["first"] is Own


def test_a_plugin_is_imported_and_a_broken_one_is_named(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "plugin_that_works.py").write_text("WORKS = True\n")
    (tmp_path / "plugin_that_breaks.py").write_text("1 / 0\n")
    load_plugins(["plugin_that_works"])
    assert sys.modules.pop("plugin_that_works").WORKS
    with pytest.raises(SpecError, match="'plugin_that_breaks', which raises ZeroDivisionError"):
        load_plugins(["plugin_that_breaks"])
    with pytest.raises(SpecError, match="'no_such_plugin', which raises ModuleNotFoundError"):
        load_plugins(["no_such_plugin"])
