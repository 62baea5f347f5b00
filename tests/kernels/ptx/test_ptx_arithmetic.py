"""Each instruction against NumPy or, for its corner cases, against the PTX ISA's definition."""

import numpy as np
import pytest

from .faults import Fault, UnsupportedError
from .handmade import run

INTEGERS = np.array([0, 1, 7, 2**31 - 1, 2**31, 2**32 - 1, 0xDEADBEEF, 12345] * 4, np.uint32)
OTHERS = np.array([3, 1, 2**31, 5, 2**32 - 1, 2**32 - 2, 17, 31] * 4, np.uint32)
FLOATS = np.linspace(-3.5, 4.5, 32, dtype=np.float32)


def unary(instructions: str, values: np.ndarray) -> np.ndarray:
    """%r1 of each thread -> %r2."""
    body = f"""
    add.s64 %rd1, %rd90, %rd0;
    ld.global.b32 %r1, [%rd1];
    {instructions}
    add.s64 %rd2, %rd91, %rd0;
    st.global.b32 [%rd2], %r2;
    """
    return run(body, values, np.zeros(32, np.uint32))[1]


def binary(instructions: str, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """%r1 and %r3 of each thread -> %r2."""
    load = f"add.s64 %rd3, %rd92, %rd0; ld.global.b32 %r3, [%rd3]; {instructions}"
    body = f"""
    add.s64 %rd1, %rd90, %rd0;
    ld.global.b32 %r1, [%rd1];
    {load}
    add.s64 %rd2, %rd91, %rd0;
    st.global.b32 [%rd2], %r2;
    """
    return run(body, first, np.zeros(32, np.uint32), second)[1]


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("add.s32 %r2, %r1, %r3;", INTEGERS + OTHERS),
        ("sub.s32 %r2, %r1, %r3;", INTEGERS - OTHERS),
        ("mul.lo.s32 %r2, %r1, %r3;", INTEGERS * OTHERS),
        ("mul.hi.u32 %r2, %r1, %r3;", (INTEGERS.astype("u8") * OTHERS >> 32).astype("u4")),
        ("mad.lo.s32 %r2, %r1, %r3, 5;", INTEGERS * OTHERS + np.uint32(5)),
        ("div.u32 %r2, %r1, %r3;", INTEGERS // OTHERS),
        ("rem.u32 %r2, %r1, %r3;", INTEGERS % OTHERS),
        ("and.b32 %r2, %r1, %r3;", INTEGERS & OTHERS),
        ("or.b32 %r2, %r1, %r3;", INTEGERS | OTHERS),
        ("xor.b32 %r2, %r1, %r3;", INTEGERS ^ OTHERS),
        ("not.b32 %r2, %r1;", ~INTEGERS),
        ("lop3.b32 %r2, %r1, %r3, %r3, 0x3c;", INTEGERS ^ OTHERS),
        ("min.u32 %r2, %r1, %r3;", np.minimum(INTEGERS, OTHERS)),
        ("max.s32 %r2, %r1, %r3;", np.maximum(INTEGERS.view("i4"), OTHERS.view("i4"))),
    ],
)
def test_integers(instruction, expected):
    actual = binary(instruction, INTEGERS, OTHERS)
    assert actual.tolist() == expected.view(np.uint32).tolist()


def test_signed_division_rounds_towards_zero():
    first = np.array([7, -7, 7, -7, 0, 1, -1, 100] * 4, np.int32)
    second = np.array([2, 2, -2, -2, 5, 3, 3, -7] * 4, np.int32)
    quotient = binary("div.s32 %r2, %r1, %r3;", first, second).view(np.int32)
    remainder = binary("rem.s32 %r2, %r1, %r3;", first, second).view(np.int32)
    assert quotient[:8].tolist() == [3, -3, -3, 3, 0, 0, 0, -14]
    assert remainder[:8].tolist() == [1, -1, 1, -1, 0, 1, -1, 2]


@pytest.mark.parametrize(
    ("instruction", "value", "expected"),
    [
        ("shl.b32 %r2, %r1, 4;", 0x12345678, 0x23456780),
        ("shl.b32 %r2, %r1, 32;", 0x12345678, 0),
        ("shr.u32 %r2, %r1, 31;", 0x80000000, 1),
        ("shr.s32 %r2, %r1, 31;", 0x80000000, 0xFFFFFFFF),
        ("shr.s32 %r2, %r1, 99;", 0x80000000, 0xFFFFFFFF),
        ("shr.u32 %r2, %r1, 99;", 0x80000000, 0),
        ("bfe.u32 %r2, %r1, 4, 8;", 0x12345678, 0x67),
        ("bfe.s32 %r2, %r1, 4, 4;", 0x000000F0, 0xFFFFFFFF),
        ("prmt.b32 %r2, %r1, 0xAABBCCDD, 0x5410;", 0x11223344, 0xCCDD3344),
        ("prmt.b32 %r2, %r1, 0, 0x0008U;", 0x00000080, 0x808080FF),
        ("cvt.u16.u32 %rs1, %r1; mul.hi.u16 %rs2, %rs1, 0x8000; cvt.u32.u16 %r2, %rs2;", 10, 5),
        ("shf.l.wrap.b32 %r2, %r1, %r1, 8;", 0x12345678, 0x34567812),
    ],
)
def test_bits(instruction, value, expected):
    assert set(unary(instruction, np.full(32, value, np.uint32))) == {np.uint32(expected)}


def test_wide_and_high_products():
    body = "mul.wide.s32 %rd5, %r1, %r3; shr.u64 %rd6, %rd5, 32; cvt.u32.u64 %r2, %rd6;"
    expected = (INTEGERS.view("i4").astype("i8") * OTHERS.view("i4")).view("u8") >> 32
    assert binary(body, INTEGERS, OTHERS).tolist() == expected.astype("u4").tolist()


def test_the_high_half_of_128_bits():
    body = "mov.b64 %rd5, {%r1, %r3}; mul.hi.u64 %rd6, %rd5, %rd5; {part}"
    squares = [
        ((int(high) << 32) | int(low)) ** 2 for low, high in zip(INTEGERS, OTHERS, strict=True)
    ]
    for part, shift in (
        ("cvt.u32.u64 %r2, %rd6;", 64),
        ("shr.u64 %rd6, %rd6, 32; cvt.u32.u64 %r2, %rd6;", 96),
    ):
        actual = binary(body.replace("{part}", part), INTEGERS, OTHERS)
        assert actual.tolist() == [square >> shift & 0xFFFFFFFF for square in squares]


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("add.f32 %r2, %r1, %r3;", FLOATS + FLOATS[::-1]),
        ("mul.f32 %r2, %r1, %r3;", FLOATS * FLOATS[::-1]),
        ("div.full.f32 %r2, %r1, %r3;", FLOATS / FLOATS[::-1]),
        ("max.f32 %r2, %r1, %r3;", np.maximum(FLOATS, FLOATS[::-1])),
        ("neg.f32 %r2, %r1;", -FLOATS),
        ("abs.f32 %r2, %r1;", np.abs(FLOATS)),
        ("ex2.approx.f32 %r2, %r1;", np.exp2(FLOATS.astype(np.float64)).astype(np.float32)),
        ("mov.b32 %r2, 0f3F800000;", np.ones(32, np.float32)),
    ],
)
def test_floats(instruction, expected):
    actual = binary(instruction, FLOATS, FLOATS[::-1].copy()).view(np.float32)
    np.testing.assert_array_equal(actual, expected)


def test_a_fused_product_is_rounded_once():
    x = np.full(32, 1 + 2**-12, np.float32)
    minus = np.full(32, -(1 + 2**-11), np.float32)
    fused = binary("fma.rn.f32 %r2, %r1, %r1, %r3;", x, minus).view(np.float32)
    assert set(fused) == {np.float32(2**-24)}


def test_nan_in_comparisons_and_extremes():
    x = np.array([np.nan, 1.0, 2.0, np.nan] * 8, np.float32)
    y = np.array([1.0, np.nan, 1.0, np.nan] * 8, np.float32)

    def chosen(comparison: str) -> list[int]:
        body = f"setp.{comparison}.f32 %p1, %r1, %r3; selp.b32 %r2, 1, 0, %p1;"
        return binary(body, x, y)[:4].tolist()

    assert chosen("gt") == [0, 0, 1, 0]
    assert chosen("ne") == [0, 0, 1, 0]
    assert chosen("neu") == [1, 1, 1, 1]
    assert chosen("num") == [0, 0, 1, 0]
    assert chosen("nan") == [1, 1, 0, 1]
    least = binary("min.f32 %r2, %r1, %r3;", x, y).view(np.float32)[:4]
    np.testing.assert_array_equal(least, np.array([1, 1, 1, np.nan], np.float32))
    least = binary("min.NaN.f32 %r2, %r1, %r3;", x, y).view(np.float32)[:4]
    np.testing.assert_array_equal(least, np.array([np.nan, np.nan, 1, np.nan], np.float32))


@pytest.mark.parametrize(
    ("instruction", "value", "expected"),
    [
        ("cvt.rn.bf16.f32 %rs1, %r1; cvt.u32.u16 %r2, %rs1;", 1.00390625, 0x3F80),  # a tie: to even
        ("cvt.rn.bf16.f32 %rs1, %r1; cvt.u32.u16 %r2, %rs1;", 1.01171875, 0x3F82),
        ("cvt.rn.bf16.f32 %rs1, %r1; cvt.u32.u16 %r2, %rs1;", np.nan, 0x7FFF),
        ("cvt.rn.f16.f32 %rs1, %r1; cvt.u32.u16 %r2, %rs1;", 65504.0, 0x7BFF),
        ("cvt.rn.bf16x2.f32 %r2, %r1, 0f40000000;", 1.0, 0x3F804000),
        ("cvt.rna.tf32.f32 %r2, %r1;", 1.00048828125, 0x3F802000),  # a tie: away from zero
        ("cvt.rzi.s32.f32 %r2, %r1;", -2.75, 0xFFFFFFFE),
        ("cvt.rni.s32.f32 %r2, %r1;", 2.5, 2),
        ("cvt.rzi.s32.f32 %r2, %r1;", 1e30, 0x7FFFFFFF),
        ("cvt.rzi.s32.f32 %r2, %r1;", np.nan, 0),
        ("cvt.f64.f32 %rd5, %r1; cvt.rn.f32.f64 %r2, %rd5;", 0.1, 0x3DCCCCCD),
    ],
)
def test_conversions(instruction, value, expected):
    assert set(unary(instruction, np.full(32, value, np.float32))) == {np.uint32(expected)}


def test_sign_is_kept_where_integers_widen():
    body = "cvt.s64.s32 %rd5, %r1; shr.u64 %rd6, %rd5, 32; cvt.u32.u64 %r2, %rd6;"
    assert unary(body, np.array([-1, 1] * 16, np.int32))[:2].tolist() == [0xFFFFFFFF, 0]


def test_halves_of_a_register():
    body = "mov.b32 {%rs1, %rs2}, %r1; mov.b32 %r2, {%rs2, %rs1};"
    assert set(unary(body, np.full(32, 0x12345678, np.uint32))) == {np.uint32(0x56781234)}


def test_a_guard_keeps_what_it_excludes():
    body = (
        "mov.b32 %r2, 5; setp.lt.u32 %p1, %r0, 3; @%p1 mov.b32 %r2, 7; @!%p1 add.s32 %r2, %r2, 1;"
    )
    assert unary(body, np.zeros(32, np.uint32)).tolist() == [7] * 3 + [6] * 29


def test_a_loop_of_another_length_in_each_thread():
    body = """
    mov.b32 %r2, 0;
    mov.b32 %r5, 0;
    $L_again:
    setp.ge.u32 %p1, %r5, %r1;
    @%p1 bra $L_done;
    add.s32 %r2, %r2, %r5;
    add.s32 %r5, %r5, 1;
    bra.uni $L_again;
    $L_done:
    """
    counts = np.arange(32, dtype=np.uint32)
    assert unary(body, counts).tolist() == (counts * (counts - 1) // 2).tolist()


def test_a_register_that_was_never_written():
    with pytest.raises(Fault, match="%r9 is read before it is written"):
        unary("add.s32 %r2, %r1, %r9;", INTEGERS)


def test_an_unknown_instruction_says_so():
    with pytest.raises(UnsupportedError, match=r"bfind\.u32"):
        unary("bfind.u32 %r2, %r1;", INTEGERS)
