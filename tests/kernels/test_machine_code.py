"""How machine code is read: widths of accesses by tensor, and how often each instruction runs."""

import pytest
from sesame_kernels.aot.accesses import amd_widths, nvidia_widths
from sesame_kernels.aot.architectures import ARCHITECTURES
from sesame_kernels.aot.assembly import amd_code, nvidia_code, weights

PTX = """
.visible .entry a_kernel(
	.param .u64 .ptr .global .align 1 a_kernel_param_0,
	.param .u64 .ptr .global .align 1 a_kernel_param_1,
	.param .u32 a_kernel_param_2,
	.param .u64 .ptr .global .align 1 a_kernel_param_3
)
.reqntid 128
{
	.reg .b64 	%rd<9>;
	ld.param.b64 	%rd1, [a_kernel_param_0]; // the data
	ld.param.b64 	%rd2, [a_kernel_param_1];
	ld.param.b32 	%r1, [a_kernel_param_2];
	ld.param.b64 	%rd3, [a_kernel_param_3];
	mad.wide.s32 	%rd4, %r1, 2, %rd1;
$L__BB0_1:
	@%p1 ld.global.v4.b32 { %r2, %r3, %r4, %r5 }, [ %rd4 + 0 ];
	@%p2 ld.global.b16 { %rs1 }, [ %rd4 + 16 ];
	add.s64 	%rd4, %rd4, %rd5;
	cp.async.cg.shared.global [ %r6 + 0 ], [ %rd2 + 0 ], 0x8, %r7;
	mul.wide.s32 	%rd6, %r2, 4;
	add.s64 	%rd7, %rd3, %rd6;
	st.global.v2.b32 [ %rd7 + 0 ], { %r2, %r3 };
	@%p1 bra $L__BB0_1;
	ret;
}
"""
LLVM_IR = """
define amdgpu_kernel void @a_kernel(ptr addrspace(1) inreg readonly %0, i32 inreg %1, \
ptr addrspace(1) inreg %2) local_unnamed_addr #1 !dbg !8 {
  %4 = sext i32 %1 to i64, !dbg !16
  %5 = getelementptr bfloat, ptr addrspace(1) %0, i64 %4, !dbg !16
  %6 = load <8 x i16>, ptr addrspace(1) %5, align 16, !dbg !41
  %7 = tail call ptr addrspace(8) @llvm.amdgcn.make.buffer.rsrc.p8.p1(ptr addrspace(1) %2, i16 0)
  %8 = tail call i16 @llvm.amdgcn.raw.ptr.buffer.load.i16(ptr addrspace(8) %7, i32 %1, i32 0)
  store float 0.0, ptr addrspace(3) @global_smem, align 4
  tail call void @llvm.amdgcn.raw.ptr.buffer.store.v4i32(<4 x i32> %9, ptr addrspace(8) %7, i32 0)
  store <1 x float> %10, ptr addrspace(1) %5, align 4, !dbg !87
  ret void
}
"""
SASS = """
	.headerflags	@"EF_CUDA_64BIT_ADDRESS EF_CUDA_SM90 EF_CUDA_VIRTUAL_SM(EF_CUDA_SM90)"
        /*fff0*/                   LDC R1, c[0x0][0x28] ;
        /*10000*/              @P0 EXIT ;
        /*10010*/                  LDG.E.128 R4, desc[UR4][R2.64] ;
        /*10020*/                  LDG.E.CONSTANT R8, desc[UR4][R2.64] ;
        /*10030*/                  BAR.SYNC.DEFER_BLOCKING 0x0 ;
        /*10040*/                  FADD R4, R4, R5 ;
        /*10050*/             @!P1 BRA 0x10040 ;
        /*10060*/              @P0 BRA 0x10010 ;
        /*10070*/                  STG.E.U16 desc[UR4][R2.64], R4 ;
        /*10080*/                  EXIT ;
        /*10090*/                  BRA 0x10090;
        /*100a0*/                  NOP;
"""
CHOSEN = """
.entry a_kernel() {
	ld.param.b64 %rd9, [a_kernel_param_3];
	mov.b64 %rd1, a_kernel_param_0;
	mov.b64 %rd2, a_kernel_param_1;
	selp.b64 %rd3, %rd1, %rd2, %p1;
	ld.param.b64 %rd4, [%rd3];
	ld.global.v2.b32 { %r1, %r2 }, [ %rd4 + 0 ];
}
"""


def test_widths_belong_to_the_pointer_that_an_address_comes_from():
    widths = nvidia_widths(PTX, {0, 1, 3})
    assert dict(widths.loads) == {0: {16, 2}, 1: {8}}
    assert dict(widths.stores) == {3: {8}}  # its index comes from the data, its address does not


def test_widths_where_a_pointer_is_chosen_among_parameters():
    widths = nvidia_widths(CHOSEN, {0, 1, 3})
    assert dict(widths.loads) == {0: {8}, 1: {8}}


def test_widths_of_amd_with_and_without_buffers():
    widths = amd_widths(LLVM_IR, {0, 2})
    assert dict(widths.loads) == {0: {16}, 2: {2}}
    assert dict(widths.stores) == {0: {4}, 2: {16}}


def test_instructions_of_nvidia_without_what_is_never_reached():
    code = nvidia_code(SASS)
    assert len(code) == 10
    assert [i.load_bytes for i in code if i.load_bytes] == [16, 4]
    assert [i.store_bytes for i in code if i.store_bytes] == [2]
    assert [code[i.target].opcode for i in code if i.target >= 0] == ["FADD", "LDG.E.128"]
    assert sum(i.is_barrier for i in code) == 1


def test_loops_over_data_are_weighted_by_their_elements_and_others_by_what_is_told():
    """64 elements of 2 bytes; an iteration of the outer loop has 8 of them."""
    code = nvidia_code(SASS)
    count = weights(code, 64, ({16}, 2), (set(), 0), other_iterations=3)
    assert count == [1, 1, 8, 8, 8, 24, 24, 8, 1, 1]


def unrolled_loop(loads: int) -> str:
    """A loop of that many loads, and the loop of one for what remains."""
    code = [*["LDG.E.64 R4, [R2] ;"] * loads, "@P0 BRA 0x0 ;", "LDG.E.64 R4, [R2] ;"]
    code.append(f"BRA {16 * (loads + 1):#x} ;")
    return "\n".join(f"/*{16 * at:04x}*/ {text}" for at, text in enumerate(code))


@pytest.mark.parametrize(
    ("elements", "main", "remainder"), [(3 * 4, 0, 3), (7 * 4, 1, 3), (8 * 4, 2, 0), (1, 0, 1)]
)
def test_the_remainder_of_an_unrolled_loop_has_what_the_loop_leaves(elements, main, remainder):
    count = weights(nvidia_code(unrolled_loop(4)), elements, ({8}, 2), (set(), 0))
    assert count == [main] * 5 + [remainder] * 2


def test_two_passes_over_the_data_both_count():
    count = weights(nvidia_code(unrolled_loop(1)), 12, ({8}, 2), (set(), 0))
    assert count == [3] * 4


def test_instructions_of_amd():
    text = (
        "a_kernel:\n\ts_load_dwordx4 s[0:3], s[0:1], 0x0\n.LBB0_1:\n\tglobal_load_dwordx4 v[0:3]\n"
        "\tbuffer_load_ushort v1, s[0:3]\n\ts_barrier\n\ts_cbranch_scc1 .LBB0_1\n"
        "\tglobal_store_dwordx2 v2, v[0:1], s[8:9]\n\ts_nop 0\n\ts_endpgm\n.Lfunc_end0:\n\tv_nop\n"
    )
    code = amd_code(text)
    assert [i.opcode for i in code][-1] == "s_endpgm"
    assert [i.load_bytes for i in code] == [0, 16, 2, 0, 0, 0, 0]
    assert [i.store_bytes for i in code] == [0, 0, 0, 0, 0, 8, 0]
    assert code[4].target == 1
    assert code[3].is_barrier


@pytest.mark.parametrize(
    ("arch", "registers", "shared", "warps", "expected"),
    [
        ("sm_90", 32, 0, 8, 1.0),
        ("sm_90", 33, 0, 8, 0.75),  # 40 registers per thread: 48 warps in the 4 partitions
        ("sm_90", 64, 100_000, 8, 0.25),
        ("sm_80", 255, 0, 8, 0.125),
        ("sm_86", 32, 0, 1, 16 / 48),  # 16 blocks
        ("sm_89", 32, 0, 1, 24 / 48),
        ("gfx942", 64, 0, 4, 1.0),
        ("gfx942", 65, 0, 4, 0.875),
    ],
)
def test_occupancy(arch, registers, shared, warps, expected):
    assert ARCHITECTURES[arch].occupancy(registers, shared, warps) == expected
