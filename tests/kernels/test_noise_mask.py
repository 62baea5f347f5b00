import pytest
import torch
from sesame_kernels import noise_mask
from torch import Tensor

SEED = 2**62 + 12345


def inputs(device: torch.device, batch: int = 3, channels: int = 3, size=(24, 31)) -> dict:
    generator = torch.Generator().manual_seed(2)

    def rand(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator).to(device)

    return {
        "images": rand(batch, channels, *size),
        "anchors": rand(batch, 4, 2),
        "sigma": rand(batch, 4) * 0.07 + 0.03,
        "counts": (torch.arange(batch, device=device) % 5).int(),
        "sample_ids": torch.arange(batch, device=device) + 2**31,
    }


def gaussians(anchors, sigma, counts, size: tuple[int, int]) -> Tensor:
    """lambda [B, 1, H, W] as its definition reads, in float64."""
    height, width = size
    result = torch.zeros(len(sigma), 1, height, width, dtype=torch.float64, device=sigma.device)
    x = (torch.arange(width, dtype=torch.float64, device=sigma.device) + 0.5) / width
    y = (torch.arange(height, dtype=torch.float64, device=sigma.device) + 0.5)[:, None] / height
    for sample, count in enumerate(counts.tolist()):
        for anchor in range(count):
            ax, ay = anchors[sample, anchor].double()
            squares = (x - ax) ** 2 + (y - ay) ** 2
            bump = torch.exp(-squares / (2 * sigma[sample, anchor].double() ** 2))
            result[sample, 0] = torch.maximum(result[sample, 0], bump)
    return result


@pytest.mark.usefixtures("poisoned_memory")
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (24, 31), (48, 64)])
@pytest.mark.parametrize("channels", [1, 3, 6])
def test_lambda_and_blend(device, size, channels):
    tensors = inputs(device, channels=channels, size=size)
    masked, lam = noise_mask(**tensors, seed=SEED)
    expected = gaussians(tensors["anchors"], tensors["sigma"], tensors["counts"], size)
    torch.testing.assert_close(lam.double(), expected, atol=1e-6, rtol=1e-4)
    assert (lam[0] == 0).all()
    assert torch.equal(masked[0], tensors["images"][0])

    whole = dict(tensors, sigma=torch.full_like(tensors["sigma"], 1e6))
    noise = noise_mask(**whole, seed=SEED)[0]
    blend = (1 - expected) * tensors["images"] + expected * noise
    torch.testing.assert_close(masked[1:].double(), blend[1:], atol=2e-6, rtol=0)


def noise_of(device: torch.device, seed: int, ids: Tensor, channels: int = 3) -> Tensor:
    """The noise alone, standard normal: a mask that covers everything."""
    batch, size = len(ids), (32, 40)
    return noise_mask(
        torch.zeros(batch, channels, *size, device=device),
        torch.full((batch, 1, 2), 0.5, device=device),
        torch.full((batch, 1), 1e9, device=device),
        torch.ones(batch, dtype=torch.int32, device=device),
        seed,
        ids.to(device),
        noise_mean=0.0,
        noise_std=1.0,
    )[0]


@pytest.mark.parametrize("seed", [0, 1, 16, 2**31 + 3, 2**63 - 1])
def test_every_implementation_draws_the_same_numbers(device, seed):
    ids = torch.tensor([0, 1, 2**31 + 7, 2**40 + 9])
    from sesame_kernels.reference.philox import normals, philox

    pixels = torch.arange(32 * 40)
    counter = (pixels[None], torch.ones(4, 1, dtype=torch.int64), ids[:, None] & 0xFFFFFFFF)
    words = philox(seed, *counter, ids[:, None] >> 32)
    expected = torch.stack(normals(words, 4), 1).view(4, 4, 32, 40)
    actual = noise_of(device, seed, ids, channels=8)[:, 4:].cpu()
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)


def test_statistics_of_the_noise(device):
    noise = noise_of(device, 77, torch.arange(20)).double()
    flat = noise.transpose(0, 1).flatten(1)
    assert flat.mean().abs() < 0.015
    assert (flat.std() - 1).abs() < 0.01
    assert ((flat**4).mean() - 3).abs() < 0.1
    correlation = torch.corrcoef(
        torch.cat((flat, flat.roll(1, 1), flat.roll(40, 1)))
    ).fill_diagonal_(0)
    assert correlation.abs().max() < 0.03


def test_seed_and_sample_change_the_noise(device):
    ids = torch.tensor([5, 6])
    first, second = noise_of(device, 9, ids), noise_of(device, 9 + 2**33, ids)
    assert (first[0] - first[1]).abs().mean() > 0.5
    assert (first - second).abs().mean() > 0.5


def test_splitting_the_batch_changes_nothing(device):
    tensors = inputs(device, batch=5)
    masked, lam = noise_mask(**tensors, seed=SEED)
    for rows in (slice(0, 2), slice(2, 5), slice(4, 5)):
        part = {name: tensor[rows] for name, tensor in tensors.items()}
        part_masked, part_lam = noise_mask(**part, seed=SEED)
        assert torch.equal(part_masked, masked[rows])
        assert torch.equal(part_lam, lam[rows])


@pytest.mark.usefixtures("poisoned_memory")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_channels_last_and_half_precision(device, dtype):
    tensors = inputs(device)
    tensors["images"] = tensors["images"].to(dtype)
    expected, _ = noise_mask(**dict(tensors, images=tensors["images"].double()), seed=SEED)
    tensors["images"] = tensors["images"].contiguous(memory_format=torch.channels_last)
    masked, lam = noise_mask(**tensors, seed=SEED)
    assert masked.dtype == dtype
    assert lam.dtype == torch.float32
    assert masked.is_contiguous(memory_format=torch.channels_last)
    tolerance = 1e-5 if dtype == torch.float32 else 8e-3
    torch.testing.assert_close(masked.double(), expected, atol=tolerance, rtol=tolerance)


def test_pixels_are_counted_through_a_large_image():
    from sesame_kernels.reference.philox import normals, philox

    last, ids = torch.arange(520 * 520 - 999, 520 * 520), torch.tensor([7])
    covering = torch.full((1, 1), 1e9)
    images, centre = torch.zeros(1, 1, 520, 520), torch.full((1, 1, 2), 0.5)
    masked, _ = noise_mask(images, centre, covering, ids, SEED, ids, noise_mean=0.0, noise_std=1.0)
    zero = torch.tensor([0])
    expected = normals(philox(SEED, last, zero, ids, zero), 1)[0]
    torch.testing.assert_close(masked.flatten()[last], expected, atol=1e-6, rtol=0)


def test_padding_anchors_may_hold_anything(device):
    tensors = inputs(device)
    expected = noise_mask(**tensors, seed=SEED)
    for sample, count in enumerate(tensors["counts"].tolist()):
        tensors["anchors"][sample, count:] = torch.nan
        tensors["sigma"][sample, count:] = 0.0
    actual = noise_mask(**tensors, seed=SEED)
    assert torch.equal(actual[0], expected[0])
    assert torch.equal(actual[1], expected[1])


@pytest.mark.parametrize("shape", [(0, 3), (2, 0)])
def test_nothing_to_mask(device, shape):
    batch, num_anchors = shape
    tensors = inputs(device, batch=batch)
    tensors["anchors"] = tensors["anchors"][:, :num_anchors]
    tensors["sigma"] = tensors["sigma"][:, :num_anchors]
    masked, lam = noise_mask(**tensors, seed=SEED)
    assert torch.equal(masked, tensors["images"])
    assert lam.shape == (batch, 1, 24, 31)


def test_gradient_of_the_images(device):
    tensors = inputs(device, batch=2, size=(3, 4))
    images = tensors.pop("images").double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: noise_mask(x, **tensors, seed=SEED)[0], images)
    masked, lam = noise_mask(images, **tensors, seed=SEED)
    assert not lam.requires_grad
    gradient = torch.autograd.grad(masked.sum(), images)[0]
    torch.testing.assert_close(gradient, (1 - lam).expand_as(images))


def test_errors():
    tensors = inputs(torch.device("cpu"))
    with pytest.raises(ValueError, match=r"seed must be an integer in \[0, 2\^63\)"):
        noise_mask(**tensors, seed=-1)
    with pytest.raises(ValueError, match=r"sigma must have shape \[3, 4\]"):
        noise_mask(**dict(tensors, sigma=tensors["sigma"][:, :2]), seed=1)
    with pytest.raises(ValueError, match="counts must be of an integer dtype"):
        noise_mask(**dict(tensors, counts=tensors["counts"].float()), seed=1)
    with pytest.raises(ValueError, match=r"pass anchors.detach\(\)"):
        noise_mask(**dict(tensors, anchors=tensors["anchors"].requires_grad_()), seed=1)
