"""The plugins of a run: checked before it writes anything, and recorded in its folder."""

from collections.abc import Mapping
from typing import Any

from sesame_hpc.choices import DATA_FORMATS
from sesame_hpc.config import Config
from sesame_hpc.data.formats.plugin import KIND as FORMAT_KEY
from sesame_hpc.data.loading.extra_augment import augment_plugin
from sesame_hpc.models.backbones import backbone_plugin
from sesame_hpc.plugins import Plugin, load_plugin
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.stages.extra_loss import loss_plugin
from sesame_hpc.tracking import tracker_plugins

__all__ = ["changed_plugins", "plugins_in_use"]


def plugins_in_use(config: Config) -> dict[str, dict[str, str]]:
    """{setting: name, path and version of its plugin}, each loaded and its settings validated.

    A run may have several trackers; each is under the key of its settings, `track.settings.NAME`.

    Raises ValueError for one that is missing, not allowed, or does not take its settings.
    """
    data, loss = config.data, config.loss
    format = None if data.format in DATA_FORMATS else load_plugin(FORMAT_KEY, data.format)
    named: list[tuple[Plugin | None, Mapping[str, Any]]] = [
        (backbone_plugin(config.model), config.model.backbone_settings),
        (loss_plugin(loss), loss.extra_settings),
        (format, data.format_settings),
        (augment_plugin(data.augment), data.augment.extra_settings),
    ]
    found = {}
    for plugin, settings in named:
        if plugin is not None:
            plugin.settings(settings, f"{plugin.key}_settings")
            found[plugin.key] = plugin.record()
    for plugin in tracker_plugins(config):  # their settings: check_trackers
        found[f"track.settings.{plugin.name}"] = plugin.record()
    return found


def changed_plugins(folder: RunFolder, plugins: dict[str, dict[str, str]]) -> list[str]:
    """One sentence for each plugin of another version than when the run was last started."""
    starts = folder.starts()
    before = starts[-1].get("plugins", {}) if starts else {}
    return [
        f"{key}: {now['path']} was {then['version']} at the last start, and is {now['version']}"
        for key, now in plugins.items()
        if (then := before.get(key)) and then["version"] != now["version"]
    ]
