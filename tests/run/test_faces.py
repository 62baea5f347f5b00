"""Which faces a run trains on."""

import shutil

from sesame_hpc.config import load_config
from sesame_hpc.data.formats.wflw import list_path
from sesame_hpc.run.faces import read_faces
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.run.settings import open_run


def test_copies_are_kept_together_where_the_config_says_so(faces, write_config, tmp_path):
    """The first 40 faces a second time, with another name."""
    root = tmp_path / "copies"
    shutil.copytree(faces, root)
    table = next(root.rglob(list_path("train").name))
    lines = table.read_text().splitlines()
    for line in lines[:40]:
        name = line.split()[-1]
        image = root / "WFLW_images" / name
        shutil.copy(image, image.with_name(f"again_{image.name}"))
        lines.append(line.replace(image.name, f"again_{image.name}"))
    table.write_text("\n".join(lines) + "\n")
    straddling = []
    for group in ("image", "look_alike"):
        overrides = (f"data.root={root}", f"data.heldout_group={group}", "data.heldout=20")
        config = load_config(write_config(group, *overrides))
        folder = RunFolder(config.output)
        split = read_faces(config, folder)
        names = [
            {image.replace("again_", "") for image in part.images}
            for part in (split.train, split.heldout)
        ]
        straddling.append(len(names[0] & names[1]))
        assert not folder.path.exists()
    assert straddling[0] > 0
    assert straddling[1] == 0
    assert len(split.look_alikes) >= 80


def test_groups_are_recorded_once_the_run_is_under_way(faces, write_config):
    config = load_config(write_config("groups", "data.heldout_group=look_alike"))
    folder = RunFolder(config.output)
    split = read_faces(config, folder)
    recorded = {"one.jpg": "one.jpg"}
    open_run(folder, config, {"directory": "."}, split.identity, recorded)
    folder.lease.release()
    assert read_faces(config, folder).look_alikes == split.look_alikes == {}
    (folder.stage("preliminary") / "latest.json").write_text("{}")
    assert read_faces(config, folder).look_alikes == recorded
    folder.groups_file.write_text("[1]")
    assert read_faces(config, folder).look_alikes == {}
