import pytest
import torch
from sesame_kernels.reference.difference import twice_difference_times


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_broadcasts_and_rounds_once(dtype, memory_format):
    columns, rows = torch.randn(3, 5, 1, 7).double(), torch.randn(3, 5, 6, 1).double()
    factor = torch.randn(3, 5, 6, 7).double().contiguous(memory_format=memory_format)
    out = torch.full_like(factor, torch.nan, dtype=dtype)
    twice_difference_times(columns, rows, factor, out)
    torch.testing.assert_close(out, (2 * (columns - rows) * factor).to(dtype), rtol=0, atol=0)


def test_factor_broadcasts_and_others_are_converted():
    first, second = (torch.randn(70, 3, 100, 100).bfloat16() for _ in range(2))
    factor = torch.randn(70, 1, 100, 100)
    out = torch.full_like(first, torch.nan)
    twice_difference_times(first, second, factor, out)
    expected = (2 * (first.float() - second.float()) * factor).bfloat16()
    torch.testing.assert_close(out, expected, rtol=0, atol=0)


def test_works_in_place():
    factor, first, second = (
        torch.randn(2, 3, 4, 5),
        torch.randn(2, 3, 1, 5),
        torch.randn(2, 3, 4, 1),
    )
    expected = 2 * (first - second) * factor
    twice_difference_times(first, second, factor, factor)
    torch.testing.assert_close(factor, expected, rtol=0, atol=0)
