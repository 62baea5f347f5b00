"""Accesses out of bounds, misaligned ones and races are found, and nothing else is."""

import numpy as np
import pytest

from .faults import Fault
from .handmade import run

WORDS = np.arange(64, dtype=np.uint32)
EXCHANGE = """
    add.s64 %rd1, %rd90, %rd0;
    ld.global.b32 %r1, [%rd1];
    mov.b32 %r2, global_smem;
    shl.b32 %r3, %r0, 2;
    add.s32 %r4, %r2, %r3;
    st.shared.b32 [%r4], %r1;
    {between}
    xor.b32 %r5, %r3, 128;
    ld.shared.b32 %r6, [%r5];
    {after}
    st.global.b32 [%rd1], %r6;
"""
COPY = """
    shl.b32 %r1, %r0, 4;
    cvt.u64.u32 %rd1, %r1;
    add.s64 %rd2, %rd90, %rd1;
    cp.async.cg.shared.global [%r1], [%rd2], 0x10, 16;
    cp.async.commit_group;
    {wait}
    xor.b32 %r2, %r1, 512;
    ld.shared.v4.b32 {{%r3, %r4, %r5, %r6}}, [%r2];
    add.s64 %rd3, %rd91, %rd1;
    st.global.v4.b32 [%rd3], {{%r3, %r4, %r5, %r6}};
"""


def test_the_last_element_and_one_more():
    body = "add.s64 %rd1, %rd90, %rd0; ld.global.b32 %r1, [%rd1 + {offset}];"
    run(body.format(offset=0), WORDS[:32])
    with pytest.raises(
        Fault, match=r"load of 4 bytes out of bounds, at byte 128 of 128 of array 0"
    ):
        run(body.format(offset=4), WORDS[:32])
    with pytest.raises(Fault, match=r"at byte -4 of 128 of array 0"):
        run(body.format(offset=-4), WORDS[:32])


def test_blocks_know_the_grid():
    body = """
    mov.u32 %r1, %ctaid.x;
    mov.u32 %r2, %nctaid.x;
    mad.lo.s32 %r3, %r1, 32, %r0;
    mul.wide.u32 %rd1, %r3, 4;
    add.s64 %rd2, %rd90, %rd1;
    st.global.b32 [%rd2], %r2;
    """
    assert run(body, np.zeros(64, np.uint32), grid=2)[0].tolist() == [2] * 64


def test_a_pointer_that_is_chosen_among_the_parameters():
    """Triton's compiler chooses the parameter's address, where a kernel chooses a pointer."""
    body = """
    mov.b64 %rd1, handmade_param_0;
    mov.b64 %rd2, handmade_param_1;
    setp.lt.u32 %p1, %r0, 8;
    selp.b64 %rd3, %rd1, %rd2, %p1;
    ld.param.b64 %rd4, [%rd3];
    add.s64 %rd5, %rd4, %rd0;
    ld.global.b32 %r1, [%rd5];
    add.s64 %rd6, %rd92, %rd0;
    st.global.b32 [%rd6], %r1;
    """
    results = run(body, WORDS[:32], WORDS[:32] + 100, np.zeros_like(WORDS[:32]))
    assert results[2].tolist() == [*range(8), *range(108, 132)]
    with pytest.raises(Fault, match="no parameter begins at this address"):
        run(body.replace("ld.param", "add.s64 %rd3, %rd3, 4;\n    ld.param"), *results)


def test_threads_that_a_guard_excludes_may_have_any_address():
    body = """
    add.s64 %rd1, %rd90, %rd0;
    setp.lt.u32 %p1, %r0, 8;
    @%p1 st.global.b32 [%rd1], 7;
    """
    assert run(body, WORDS[:8])[0].tolist() == [7] * 8
    with pytest.raises(Fault, match="store of 4 bytes out of bounds"):
        run(body.replace("@%p1 ", ""), WORDS[:8])


def test_a_vector_access_must_be_aligned_as_a_whole():
    body = "ld.global.v4.b32 {{%r1, %r2, %r3, %r4}}, [%rd90 + {offset}];"
    run(body.format(offset=16), WORDS)
    with pytest.raises(Fault, match="misaligned load of 16 bytes"):
        run(body.format(offset=8), WORDS)


def test_vectors_hold_their_elements_in_order():
    body = """
    shl.b64 %rd1, %rd0, 1;
    add.s64 %rd2, %rd90, %rd1;
    ld.global.v2.b32 {%r1, %r2}, [%rd2];
    st.global.v2.b32 [%rd2], {%r2, %r1};
    """
    assert run(body, WORDS)[0].tolist() == WORDS.reshape(-1, 2)[:, ::-1].reshape(-1).tolist()


def exchange(between: str, after: str = "") -> np.ndarray:
    body = EXCHANGE.format(between=between, after=after)
    return run(body, WORDS, threads=64, shared=256)[0]


def test_warps_exchange_values_over_a_barrier():
    assert exchange("bar.sync 0;").tolist() == np.roll(WORDS, 32).tolist()


def test_a_missing_barrier_before_a_read():
    with pytest.raises(Fault, match="race: read of what another warp wrote"):
        exchange("")


def test_a_missing_barrier_before_the_next_write():
    exchange("bar.sync 0;", "bar.sync 0; st.shared.b32 [%r4], %r0;")
    with pytest.raises(Fault, match="race: write of what another warp reads"):
        exchange("bar.sync 0;", "st.shared.b32 [%r4], %r0;")


def test_a_warp_needs_no_barrier_for_itself():
    body = EXCHANGE.format(between="", after="").replace("128", "64")
    assert run(body, WORDS[:32], shared=128)[0].tolist() == np.roll(WORDS[:32], 16).tolist()


def test_two_warps_may_store_the_same_value_but_no_other():
    run("st.shared.b32 [global_smem], 5;", WORDS, threads=64, shared=4)
    with pytest.raises(Fault, match="different values"):
        run("st.shared.b32 [global_smem], %r0;", WORDS, threads=64, shared=4)


def test_sums_held_by_several_threads_may_differ_in_their_last_bits():
    body = "cvt.rn.f32.u32 %r1, %r0; fma.rn.f32 %r2, %r1, {unit}, 0f3F800000;"
    body += "st.shared.b32 [global_smem], %r2;"
    run(body.format(unit="0f32000000"), WORDS, threads=8, shared=4)  # 2^-27 per thread
    with pytest.raises(Fault, match="different values at once"):
        run(body.format(unit="0f36000000"), WORDS, threads=8, shared=4)


def test_shared_memory_has_an_end_and_an_alignment():
    with pytest.raises(Fault, match="beyond 128 bytes of shared memory"):
        run("st.shared.b32 [global_smem+128], 5;", WORDS, shared=128)
    with pytest.raises(Fault, match="misaligned access of 4 bytes in shared memory"):
        run("st.shared.b32 [global_smem+2], 5;", WORDS, shared=128)


def copy(wait: str) -> np.ndarray:
    words = np.arange(256, dtype=np.uint32)
    return run(COPY.format(wait=wait), words, np.zeros_like(words), threads=64, shared=1024)[1]


def test_an_asynchronous_copy_is_there_after_its_wait_and_a_barrier():
    expected = np.roll(np.arange(256), 128)
    assert copy("cp.async.wait_group 0; bar.sync 0;").tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("wait", "message"),
    [
        ("bar.sync 0;", "read of what an asynchronous copy is writing"),
        ("cp.async.wait_group 1; bar.sync 0;", "read of what an asynchronous copy is writing"),
        ("cp.async.wait_group 0;", "race: read of what another warp wrote"),
    ],
)
def test_an_asynchronous_copy_is_not_there_before(wait, message):
    with pytest.raises(Fault, match=message):
        copy(wait)


def test_a_copy_may_not_begin_where_another_warp_still_reads():
    again = "cp.async.cg.shared.global [%r1], [%rd2], 0x10, 16;"
    body = COPY.format(wait="cp.async.wait_group 0; bar.sync 0;")
    words = np.arange(256, dtype=np.uint32)
    run(body + "bar.sync 0;" + again, words, words, threads=64, shared=1024)
    with pytest.raises(Fault, match="race: write of what another warp reads"):
        run(body + again, words, words, threads=64, shared=1024)


def test_a_copy_without_bytes_writes_zeros_and_reads_nothing():
    body = COPY.format(wait="cp.async.wait_group 0; bar.sync 0;").replace("0x10, 16", "0x10, 0")
    words = np.arange(256, dtype=np.uint32)
    assert not run(body, words[:4], words, threads=64, shared=1024)[1].any()


def test_a_barrier_that_part_of_a_block_skips():
    body = "setp.lt.u32 %p1, %r0, 32; @%p1 bra $L_out; bar.sync 0; $L_out:"
    with pytest.raises(Fault, match=r"threads wait for others that never come: bar\.sync 0"):
        run(body, WORDS, threads=64)
    with pytest.raises(Fault, match=r"part of a block: @%p1 bar\.sync 0"):
        run("setp.lt.u32 %p1, %r0, 32; @%p1 bar.sync 0;", WORDS, threads=64)


def test_threads_meet_at_a_barrier_wherever_they_come_from():
    """Half of them take a way that stands behind the barrier."""
    body = """
    mov.b32 %r1, 1;
    setp.lt.u32 %p1, %r0, 32;
    @%p1 bra $L_behind;
    $L_back:
    bar.sync 0;
    add.s64 %rd1, %rd90, %rd0;
    st.global.b32 [%rd1], %r1;
    ret;
    $L_behind:
    mov.b32 %r1, 2;
    bra.uni $L_back;
    """
    assert run(body, WORDS, threads=64)[0].tolist() == [2] * 32 + [1] * 32


def test_blocks_may_not_depend_on_each_other():
    number = "mov.u32 %r1, %ctaid.x;"
    run(f"{number} st.global.b32 [%rd90], 5;", WORDS, grid=2)
    with pytest.raises(Fault, match="race: different values at once to array 0"):
        run(f"{number} st.global.b32 [%rd90], %r1;", WORDS, grid=2)
    later = f"{number} shr.u32 %r1, %r1, 4;"  # 16 blocks of 1024 threads run at once
    with pytest.raises(Fault, match="two blocks write different values to array 0"):
        run(f"{later} st.global.b32 [%rd90], %r1;", WORDS, threads=1024, grid=32)
    with pytest.raises(Fault, match="read of what another block wrote to array 0"):
        run("st.global.b32 [%rd90], 5; ld.global.b32 %r1, [%rd90];", WORDS, grid=2)
