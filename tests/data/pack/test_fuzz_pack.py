"""Packs with spoilt files: findings and clear errors, never a traceback."""

import random
from pathlib import Path

from rendered_faces import textures

from sesame_hpc.data.check import check_data
from sesame_hpc.data.check.registry import TITLES
from sesame_hpc.data.pack import PackSettings, write_pack

CASES = 600
JSON = ["null", "-1", "1e99", '"x"', "[]", "{}", "true", "\\ud800", "}", ",", "\0"]


def spoil(path: Path, content: bytes, rng: random.Random) -> bytes:
    """Another value in text; elsewhere flipped bits, bytes that lack, or something put in."""
    start, end = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    if path.suffix in (".json", ".yaml") and rng.random() < 0.8:
        words = content.split(b" ")
        nested = "[" * (2000 if path.suffix == ".json" else 20)
        words[rng.randrange(len(words))] = rng.choice([*JSON, nested]).encode()
        return b" ".join(words)
    kind = rng.randrange(4)
    if kind == 0:
        return content[:start]
    if kind == 1:
        return content[:start] + rng.randbytes(8) + content[start:]
    if kind == 2:
        return content[:start] + bytes(end - start) + content[end:]
    spoilt = bytearray(content)
    spoilt[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(spoilt)


def test_spoilt_packs_give_findings_or_clear_errors(tmp_path):
    rng = random.Random("packs")
    (tmp_path / "files").mkdir()
    faces = textures(tmp_path / "files", 4)
    for name, size in (("whole", None), ("crops", 16)):
        write_pack({"train": faces}, tmp_path / name, PackSettings(size=size, faces_per_shard=2))
    files = {
        path: path.read_bytes()
        for name in ("whole", "crops")
        for path in sorted((tmp_path / name).iterdir())
    }
    findings = refusals = 0
    for case in range(CASES):
        path, content = rng.choice(list(files.items()))
        spoilt = spoil(path, content, rng)
        path.write_bytes(spoilt)
        try:
            report = check_data(path.parent, "pack")
        except (ValueError, FileNotFoundError) as error:
            assert str(path.parent) in str(error) or "scheme" in str(error)  # noqa: PT017
            refusals += 1
        except Exception as error:
            error.add_note(f"case {case}, {path.name}: {spoilt[:300]!r}")
            raise
        else:
            assert all(finding.check in TITLES for finding in report.findings)
            findings += report.exit_code() > 0
        path.write_bytes(content)
    assert findings > CASES / 4
    assert refusals > CASES / 8
