"""The torch Philox against the published vectors and against Triton's own."""

import os

import pytest
import torch
from sesame_kernels.reference.philox import normals, philox

KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF),
        (0xFFFFFFFF, 0xFFFFFFFF),
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_known_answers_of_random123(counter, key, answer):
    words = philox(key[0] | key[1] << 32, *(torch.tensor([word]) for word in counter))
    assert tuple(int(word) & 0xFFFFFFFF for word in words) == answer


@pytest.mark.interp
@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") != "1", reason="TRITON_INTERPRET is not 1")
@pytest.mark.parametrize("seed", [0, 3, 2**40 + 17])
def test_normals_are_those_of_tl_randn4x(seed):
    triton = pytest.importorskip("triton")
    tl = pytest.importorskip("triton.language")

    @triton.jit
    def draw(output, seed, offset):
        lanes = tl.arange(0, 256)
        n0, n1, n2, n3 = tl.randn4x(seed, offset + lanes)
        tl.store(output + lanes, n0)
        tl.store(output + 256 + lanes, n1)
        tl.store(output + 512 + lanes, n2)
        tl.store(output + 768 + lanes, n3)

    expected = torch.empty(4, 256)
    draw[(1,)](expected, seed, 2**32)
    one, zero = torch.tensor([1]), torch.tensor([0])
    words = philox(seed, torch.arange(256), one, zero, zero)
    torch.testing.assert_close(torch.stack(normals(words, 4)), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("seed", [0, 3, 2**40 + 17])
def test_words_are_those_of_triton(seed, device, request):
    if "reference" in request.node.callspec.id:
        pytest.skip("the reference is what Triton is compared with")
    triton = pytest.importorskip("triton")
    tl = pytest.importorskip("triton.language")

    @triton.jit
    def draw_words(output, seed, offset):
        lanes = tl.arange(0, 256)
        w0, w1, w2, w3 = tl.randint4x(seed, offset + lanes)
        tl.store(output + lanes, w0.to(tl.int64))
        tl.store(output + 256 + lanes, w1.to(tl.int64))
        tl.store(output + 512 + lanes, w2.to(tl.int64))
        tl.store(output + 768 + lanes, w3.to(tl.int64))

    words = torch.empty(4, 256, dtype=torch.int64, device=device)
    draw_words[(1,)](words, seed, 2**32)
    one, zero = torch.tensor([1]), torch.tensor([0])
    expected = torch.stack(
        torch.broadcast_tensors(*philox(seed, torch.arange(256), one, zero, zero))
    )
    assert torch.equal(words.cpu() & 0xFFFFFFFF, expected & 0xFFFFFFFF)
