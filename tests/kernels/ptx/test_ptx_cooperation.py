"""Shuffles and matrix products, on fragments as the PTX ISA lays them out."""

import numpy as np
import pytest

from .faults import Fault
from .handmade import run

LANES = np.arange(32, dtype=np.uint32)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("bfly.b32 %r1, %r0, 4, 31, -1", LANES ^ 4),
        ("idx.b32 %r1, %r0, 3, 31, -1", np.full(32, 3)),
        ("up.b32 %r1, %r0, 2, 0, -1", np.where(LANES < 2, LANES, LANES - 2)),
        ("down.b32 %r1, %r0, 2, 31, -1", np.where(LANES > 29, LANES, LANES + 2)),
    ],
)
def test_shuffles(mode, expected):
    body = f"shfl.sync.{mode}; add.s64 %rd1, %rd90, %rd0; st.global.b32 [%rd1], %r1;"
    assert run(body, LANES)[0].tolist() == expected.tolist()


def test_a_shuffle_that_part_of_a_warp_takes():
    body = "setp.lt.u32 %p1, %r0, 7; @%p1 shfl.sync.bfly.b32 %r1, %r0, 1, 31, -1;"
    with pytest.raises(Fault, match="part of a warp"):
        run(body, LANES)


def test_the_maximum_of_a_warp():
    body = "redux.sync.max.s32 %r1, %r0, -1; add.s64 %rd1, %rd90, %rd0; st.global.b32 [%rd1], %r1;"
    assert set(run(body, LANES)[0]) == {31}


@pytest.mark.parametrize("transposed", [False, True])
def test_matrices_of_shared_memory(transposed):
    """One matrix of 8 x 8: rows of 16 bytes."""
    matrix = np.arange(64, dtype=np.uint16).reshape(8, 8)
    body = f"""
    add.s64 %rd1, %rd90, %rd0;
    ld.global.b32 %r1, [%rd1];
    shl.b32 %r2, %r0, 2;
    st.shared.b32 [%r2], %r1;
    shl.b32 %r3, %r0, 4;
    and.b32 %r4, %r3, 127;
    ldmatrix.sync.aligned.m8n8.x1{".trans" if transposed else ""}.shared.b16 {{%r5}}, [%r4];
    st.global.b32 [%rd1], %r5;
    """
    result = run(body, matrix.view(np.uint32), shared=128)[0].view(np.uint16).reshape(8, 8)
    assert result.tolist() == (matrix.T if transposed else matrix).tolist()


def product(opcode: str, registers: tuple[int, int, int], a, b, c) -> np.ndarray:
    """D of an mma; fragments are [32 lanes, registers of 32 bits]."""
    names, body, first = [], "", 1
    for number, count in enumerate(registers):
        names.append([f"%r{first + k}" for k in range(count)])
        first += count
        body += f"mul.wide.u32 %rd{number + 1}, %r0, {4 * count};"
        body += f"add.s64 %rd{number + 1}, %rd{number + 1}, %rd9{number};"
        for k, name in enumerate(names[-1]):
            body += f"ld.global.b32 {name}, [%rd{number + 1} + {4 * k}];"
    fragments = [f"{{{', '.join(part)}}}" for part in names]
    body += f"mma.sync.aligned.{opcode} {fragments[2]}, {', '.join(fragments)};"
    for k, name in enumerate(names[2]):
        body += f"st.global.b32 [%rd3 + {4 * k}], {name};"
    return run(body, a, b, c)[2]


def halves(values: np.ndarray) -> np.ndarray:
    """float32 [..., 2] of a few bits -> bfloat16 pairs in 32 bits, the first one low."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32) >> 16
    return bits[..., 0] | bits[..., 1] << 16


def test_a_product_of_bfloat16():
    """PTX ISA, "Matrix Fragments for mma.m16n8k16": lane 4 g + t."""
    generator = np.random.default_rng(0)
    a, b, c = (generator.integers(-4, 5, s).astype("f4") for s in ((16, 16), (16, 8), (16, 8)))
    fragments = np.zeros((32, 4), "u4"), np.zeros((32, 2), "u4"), np.zeros((32, 4), "f4")
    for lane in range(32):
        g, t = divmod(lane, 4)
        rows, columns = (g, g + 8, g, g + 8), (2 * t, 2 * t, 2 * t + 8, 2 * t + 8)
        for k, (row, column) in enumerate(zip(rows, columns, strict=True)):
            fragments[0][lane, k] = halves(a[row, column : column + 2])
        for k in range(2):
            fragments[1][lane, k] = halves(b[2 * t + 8 * k : 2 * t + 8 * k + 2, g])
        fragments[2][lane] = [c[g, 2 * t], c[g, 2 * t + 1], c[g + 8, 2 * t], c[g + 8, 2 * t + 1]]
    result = product("m16n8k16.row.col.f32.bf16.bf16.f32", (4, 2, 4), *fragments)
    expected = a @ b + c
    for lane in range(32):
        g, t = divmod(lane, 4)
        wanted = [*expected[g, 2 * t : 2 * t + 2], *expected[g + 8, 2 * t : 2 * t + 2]]
        assert result[lane].tolist() == wanted


def test_a_product_of_tf32_ignores_the_low_bits():
    generator = np.random.default_rng(1)
    a, b = (generator.integers(-4, 5, shape).astype("f4") for shape in ((16, 8), (8, 8)))
    fragments = np.zeros((32, 4), "f4"), np.zeros((32, 2), "f4"), np.zeros((32, 4), "f4")
    for lane in range(32):
        g, t = divmod(lane, 4)
        fragments[0][lane] = [a[g, t], a[g + 8, t], a[g, t + 4], a[g + 8, t + 4]]
        fragments[1][lane] = [b[t, g], b[t + 4, g]]
    noisy = (fragments[0].view("u4") | 0x1FFF).view("f4")
    result = product("m16n8k8.row.col.f32.tf32.tf32.f32", (4, 2, 4), noisy, *fragments[1:])
    expected = a @ b
    for lane in range(32):
        g, t = divmod(lane, 4)
        wanted = [*expected[g, 2 * t : 2 * t + 2], *expected[g + 8, 2 * t : 2 * t + 2]]
        assert result[lane].tolist() == wanted
