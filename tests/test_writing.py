"""Who writes files: `sesame_hpc.files` and, with a reason each, the few that are named here."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "sesame_hpc"

WRITERS = {"write_text", "write_bytes", "savez", "savez_compressed", "tofile", "memmap", "imwrite"}
MOVERS = {"rename", "renames", "replace", "copyfile", "copy2", "mkstemp", "mkdtemp"}
DUMPERS = {"json.dump", "pickle.dump", "torch.save", "yaml.dump", "safetensors.torch.save_file"}
TEMPORARY = {"NamedTemporaryFile"}

ALLOWED = {
    "cli/outputs.py": {"open": "a probe that is removed at once: can this place be written to?"},
    "data/formats/export.py": {"copyfile": "images, in a folder that appears whole"},
    "data/pack/layout.py": {"open": "a shard as a stream, under the name that replacing gives"},
    "data/pack/staging.py": {
        "copyfile": "a shard or table, under the name that replacing gives",
        "open": "a lock, which is empty",
    },
    "data/pack/table.py": {"open": "a table in blocks, under the name that replacing gives"},
    "evaluation/predictions.py": {"savez": "under the name that replacing gives"},
    "inference/hub_landmarker.py": {"copyfile": "under the name that replacing gives"},
    "inference/live.py": {"open": "a line per frame as it is found, which readers can follow"},
    "launch/local_chain.py": {"open": "the log that the background process appends to"},
    "lease.py": {"rename": "a dead process's lease, out of the way"},
    "run/work.py": {"open": "a line for each start of a stage; a torn one is left out"},
    "synth/write.py": {
        "write_bytes": "in a folder that appears whole",
        "write_text": "in a folder that appears whole",
    },
    "training/checkpoint.py": {
        "open": "a checkpoint's file, synced before its directory gets its name",
        "save": "into that file",
        "replace": "a directory that is whole, under its name",
    },
    "training/records.py": {"open": "metrics, a line at a time, cut back to whole ones on resume"},
}


def writes(text: str) -> Iterator[str]:
    """The names of the calls in a program that write a file or give one its name."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        full = ast.unparse(node.func)
        name = full.rpartition(".")[2]
        if name == "open" and _mode(node) & set("wax+"):
            yield "open"
        elif name in WRITERS | TEMPORARY or full in DUMPERS or _moves(full, name, node):
            yield name


def _mode(call: ast.Call) -> set[str]:
    """Letters of the mode; w where it is computed."""
    if ast.unparse(call.func) in ("os.open", "webbrowser.open", "Image.open"):
        return set()
    given = [*call.args, *(each.value for each in call.keywords if each.arg == "mode")]
    if ast.unparse(call.func) in ("open", "io.open", "gzip.open", "os.fdopen"):
        given = given[1:]
    if not given:
        return set()
    if isinstance(given[0], ast.Constant):
        return set(str(given[0].value))
    return {"w"} if "mode" in ast.unparse(given[0]) else set()


def _moves(full: str, name: str, call: ast.Call) -> bool:
    """`os.replace` and `Path.replace(target)`, not `text.replace(old, new)` nor dataclasses'."""
    if name != "replace":
        return name in MOVERS
    return full == "os.replace" or (full != "replace" and len(call.args) == 1)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('open(path, "w")', ["open"]),
        ('open(path, mode="ab")', ["open"]),
        ('path.open("r+b")', ["open"]),
        ("path.open(mode)", ["open"]),
        ('path.open("rb"), open(path), path.open()', []),
        ('path.write_text("x")', ["write_text"]),
        ("np.savez(path, a=a)", ["savez"]),
        ("json.dump(value, file)", ["dump"]),
        ("torch.save(state, path)", ["save"]),
        ("os.replace(a, b)", ["replace"]),
        ("partial.replace(path)", ["replace"]),
        ('text.replace("a", "b"), replace(state, end=1), json.dumps(1)', []),
    ],
)
def test_writing_is_seen(line, found):
    assert list(writes(line)) == found


def test_only_files_writes_files():
    found = {
        (str(path.relative_to(PACKAGE)), name)
        for path in PACKAGE.rglob("*.py")
        if path != PACKAGE / "files.py"
        for name in writes(path.read_text())
    }
    assert found == {(path, name) for path, names in ALLOWED.items() for name in names}
