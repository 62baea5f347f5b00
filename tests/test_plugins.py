"""Plugins by import path, file and entry point: consent, versions, settings, what is missing."""

import subprocess
import sys
from pathlib import Path

import pytest

from sesame_hpc.plugins import PLUGINS, allow_plugins, is_installed, load_plugin

CODE = '''
from sesame_hpc.config import Strict

class Net:
    class Settings(Strict):
        depth: int = 2

class Bare:
    """Without settings."""
'''


@pytest.fixture(autouse=True)
def nothing_allowed(monkeypatch):
    monkeypatch.setenv(PLUGINS, "")
    known = set(sys.modules)
    yield
    for name in set(sys.modules) - known:
        del sys.modules[name]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "code/own_net_of_this_test.py"
    path.parent.mkdir()
    path.write_text(CODE)
    return path


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A distribution with an entry point, as pip leaves it on Python's path."""
    place = tmp_path / "site"
    info = place / "own_nets-1.4.dist-info"
    info.mkdir(parents=True)
    (place / "own_nets.py").write_text(CODE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-nets\nVersion: 1.4\n")
    (info / "entry_points.txt").write_text("[sesame_hpc.model.backbone]\ntiny = own_nets:Net\n")
    monkeypatch.syspath_prepend(str(place))
    return place


def test_a_file_that_the_user_allows(file):
    allow_plugins(file)
    plugin = load_plugin("model.backbone", "own_net_of_this_test:Net")
    assert plugin.target.__name__ == "Net"
    assert plugin.version.startswith("sha256:")
    assert plugin.record()["path"] == "own_net_of_this_test:Net"
    again = load_plugin("loss.extra", "own_net_of_this_test:Net", "loss")
    assert again.target is plugin.target


def test_nothing_is_imported_without_consent(file, monkeypatch):
    (file.parent / "own_net_of_this_test.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(file.parent))
    for allowed in ("", "other", "own_net", "own_net_of_this_test.inner", "other.py"):
        monkeypatch.setenv(PLUGINS, allowed)
        with pytest.raises(ValueError, match=r"only with your consent.*SESAME_PLUGINS=own_net_of"):
            load_plugin("model.backbone", "own_net_of_this_test:Net")


def test_a_module_on_the_path_has_its_own_version(file, monkeypatch):
    file.write_text("__version__ = '0.7'\n" + CODE)
    monkeypatch.syspath_prepend(str(file.parent))
    monkeypatch.setenv(PLUGINS, "something.else, own_net_of_this_test")
    assert load_plugin("model.backbone", "own_net_of_this_test:Net").version == "0.7"


def test_an_entry_point_needs_no_consent(site):
    plugin = load_plugin("model.backbone", "tiny")
    assert (plugin.path, plugin.version) == ("own_nets:Net", "1.4")
    assert is_installed("model.backbone", "tiny")
    assert not is_installed("loss", "tiny")


def test_a_missing_plugin_is_named(file, site):
    with pytest.raises(ValueError, match=r"model.backbone: plugin 'tini' was not found.*are tiny"):
        load_plugin("model.backbone", "tini")
    allow_plugins("no_such_module_of_mine", file)
    with pytest.raises(ValueError, match=r"not installed here: module no_such_\w+ was not found"):
        load_plugin("loss.extra", "no_such_module_of_mine:Term", "loss")
    with pytest.raises(ValueError, match=r"own_net_of_this_test has no Nett"):
        load_plugin("model.backbone", "own_net_of_this_test:Nett")
    with pytest.raises(ValueError, match=r"plugin '\.\./a:b' was not found"):
        load_plugin("model.backbone", "../a:b")
    with pytest.raises(FileNotFoundError, match=r"gone.py does not exist"):
        allow_plugins(file.with_name("gone.py"))


def test_what_breaks_in_a_plugin_is_said(file):
    file.write_text("import no_such_library_of_mine")
    allow_plugins(file)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"cannot be imported: ModuleNotFoundError: .*library"):
            load_plugin("model.backbone", "own_net_of_this_test:Net")


def test_a_file_does_not_take_the_name_of_another_module(tmp_path):
    path = tmp_path / "json.py"
    path.write_text(CODE)
    allow_plugins(path)
    with pytest.raises(ValueError, match="another module is named json"):
        load_plugin("model.backbone", "json:Net")


def test_settings_are_strict(file):
    allow_plugins(file)
    plugin = load_plugin("model.backbone", "own_net_of_this_test:Net")
    assert plugin.settings({"depth": 3}, "model.backbone_settings").model_dump() == {"depth": 3}
    with pytest.raises(ValueError, match=r"backbone_settings .*deptj: unknown key; .*mean depth"):
        plugin.settings({"deptj": 3}, "model.backbone_settings")
    with pytest.raises(ValueError, match=r"depth: must be a valid integer.*'x'"):
        plugin.settings({"depth": "x"}, "model.backbone_settings")
    bare = load_plugin("model.backbone", "own_net_of_this_test:Bare")
    bare.settings({}, "model.backbone_settings")
    with pytest.raises(ValueError, match="has no settings, got depth"):
        bare.settings({"depth": 3}, "model.backbone_settings")


def test_child_processes_inherit_the_consent(file):
    allow_plugins(file)
    program = (
        "from sesame_hpc.plugins import load_plugin; "
        "print(load_plugin('model.backbone', 'own_net_of_this_test:Net').path)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.stdout.strip() == "own_net_of_this_test:Net", ended.stderr
