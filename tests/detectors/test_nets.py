"""Encoders and decoders: sizes, refusals, and the order of pooling and LeakyReLU."""

import pytest
import torch
from torch import nn

from tune_ad.detectors.nets import (
    DCGANDecoder,
    DCGANEncoder,
    ImageShape,
    LeNetDecoder,
    LeNetEncoder,
    dcgan_channels,
    lenet_channels,
)
from tune_ad.detectors.nets.doubling import (
    MOST_INTERLEAVED_CHANNELS,
    Doubling,
    DoublingConvolution,
)
from tune_ad.detectors.nets.pooling import PooledBatchNorm2d
from tune_ad.errors import UserError

GREY = ImageShape(1, 28, 28)
COLOUR = ImageShape(3, 32, 32)
SIDES = [(8, 8), (28, 28), (32, 32), (9, 9), (31, 29), (13, 24), (28, 8), (8, 30), (17, 32)]


@pytest.mark.parametrize(
    "outputs", [1, 3, MOST_INTERLEAVED_CHANNELS, MOST_INTERLEAVED_CHANNELS + 1]
)
def test_doubling_is_the_transposed_convolution_in_value_and_gradient(outputs):
    layer = Doubling(5, outputs).double()
    weight, bias = layer.transposed.weight, layer.transposed.bias
    maps = torch.randn(2, 5, 4, 3, dtype=torch.float64, requires_grad=True)
    expected = nn.functional.conv_transpose2d(maps, weight, bias, stride=2, padding=1)
    doubled = layer(maps)
    assert doubled.shape == (2, outputs, 8, 6)
    assert torch.allclose(doubled, expected, atol=1e-12)
    weighing = torch.randn(expected.shape, dtype=torch.float64)
    variables = [maps, weight, bias]
    for gradient, expected_gradient in zip(
        torch.autograd.grad((doubled * weighing).sum(), variables),
        torch.autograd.grad((expected * weighing).sum(), variables),
        strict=True,
    ):
        assert torch.allclose(gradient, expected_gradient, atol=1e-12)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("trims", [(0, 0), (2, 1)])
def test_a_doubling_convolution_is_a_convolution_of_the_doubled_map(trims, bias):
    layer = DoublingConvolution(3, 5, trims, bias).double()
    padding = (2 + trims[0], 2 + trims[1])
    transposed = nn.ConvTranspose2d(3, 5, 5, padding=padding, bias=bias).double()
    transposed.load_state_dict(layer.state_dict())
    maps = torch.randn(2, 3, 4, 6, dtype=torch.float64, requires_grad=True)
    expected = transposed(nn.functional.interpolate(maps, scale_factor=2))
    doubled = layer(maps)
    assert doubled.shape == expected.shape
    assert torch.allclose(doubled, expected, atol=1e-12)
    weights = torch.randn(expected.shape, dtype=torch.float64)
    for ours, theirs in zip(
        torch.autograd.grad((doubled * weights).sum(), [maps, *layer.parameters()]),
        torch.autograd.grad((expected * weights).sum(), [maps, *transposed.parameters()]),
        strict=True,
    ):
        assert torch.allclose(ours, theirs, atol=1e-12)


def images(shape: ImageShape, count: int = 3) -> torch.Tensor:
    return torch.rand((count, *shape), generator=torch.Generator().manual_seed(7))


def test_image_shape_knows_colour():
    assert COLOUR.is_colour
    assert not GREY.is_colour


@pytest.mark.parametrize(
    ("shape", "width", "expected"),
    [
        (GREY, 1.0, (8, 4)),
        (COLOUR, 1.0, (32, 64, 128)),
        (GREY, 0.5, (4, 2)),
        (COLOUR, 2.0, (64, 128, 256)),
        (GREY, 0.3125, (3, 1)),  # 2.5 is rounded up, 1.25 down
        (GREY, 0.125, (1, 1)),  # the least width: 0.5 is rounded up
    ],
)
def test_channels_follow_the_width(shape, width, expected):
    assert lenet_channels(shape, width) == expected


@pytest.mark.parametrize(("shape", "width"), [(GREY, 0.12), (COLOUR, 0.015)])
def test_a_width_that_leaves_no_channel_is_refused(shape, width):
    with pytest.raises(
        UserError, match=rf"width {width} leaves a layer without a channel.*at least"
    ) as error:
        lenet_channels(shape, width)
    assert "\n" not in str(error.value)


def test_the_least_width_of_the_message_is_enough():
    assert min(lenet_channels(GREY, 0.125)) == 1
    assert min(lenet_channels(COLOUR, 0.015625)) == 1


def test_released_encoders_have_196_and_2048_features():
    assert LeNetEncoder(GREY, lenet_channels(GREY)).features == 4 * 7 * 7
    assert LeNetEncoder(COLOUR, lenet_channels(COLOUR)).features == 128 * 4 * 4


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), SIDES)
def test_encoder_output_has_its_features(channels, height, width):
    shape = ImageShape(channels, height, width)
    encoder = LeNetEncoder(shape, lenet_channels(shape, 0.25))
    halvings = 3 if channels == 3 else 2
    last = 32 if channels == 3 else 1
    assert encoder.features == last * (height >> halvings) * (width >> halvings)
    assert encoder(images(shape)).shape == (3, encoder.features)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), SIDES)
def test_decoder_grows_an_image_of_every_size(channels, height, width):
    shape = ImageShape(channels, height, width)
    decoder = LeNetDecoder(shape, lenet_channels(shape, 0.25), 32)
    latents = torch.randn((3, 32), generator=torch.Generator().manual_seed(0), requires_grad=True)
    grown = decoder(latents)
    assert grown.shape == (3, *shape)
    assert 0 < grown.min()
    assert grown.max() < 1
    grown.sum().backward()
    assert latents.grad is not None
    assert latents.grad.abs().sum(1).min() > 0


def convolutions(decoder: LeNetDecoder) -> list[tuple[int, int, bool, tuple[int, ...]]]:
    """Channels in and out, whether the map is doubled first, and the pixels trimmed."""
    return [
        (layer.in_channels, layer.out_channels, True, layer.trims)
        if isinstance(layer, DoublingConvolution)
        else (layer.in_channels, layer.out_channels, False, tuple(p - 2 for p in layer.padding))
        for layer in decoder.modules()
        if isinstance(layer, nn.ConvTranspose2d)
    ]


def test_released_decoders_are_built_layer_by_layer():
    grey = LeNetDecoder(GREY, lenet_channels(GREY), 32)
    assert convolutions(grey) == [
        (2, 4, True, (0, 0)),
        (4, 8, True, (1, 1)),
        (8, 1, True, (0, 0)),
    ]
    colour = LeNetDecoder(COLOUR, lenet_channels(COLOUR), 128)
    assert convolutions(colour) == [
        (8, 128, False, (0, 0)),  # the first convolution sees 4x4
        (128, 64, True, (0, 0)),
        (64, 32, True, (0, 0)),
        (32, 3, True, (0, 0)),
    ]


@pytest.mark.parametrize(
    "shape", [ImageShape(1, 3, 28), ImageShape(1, 28, 2), ImageShape(3, 7, 7)]
)
def test_too_many_poolings_are_refused(shape):
    with pytest.raises(UserError, match=f"{shape.height}x{shape.width}.* at least (4|8) pixels"):
        LeNetEncoder(shape, lenet_channels(shape))


@pytest.mark.parametrize(
    ("latent", "advice"), [(24, "use 16 or 32"), (1, "use 16$"), (100, "use 96 or 112")]
)
def test_a_latent_that_is_no_multiple_of_16_is_refused(latent, advice):
    with pytest.raises(UserError, match=rf"multiple of 16.*got {latent}; .*({advice})"):
        LeNetDecoder(GREY, (8, 4), latent)


@pytest.mark.parametrize("shape", [ImageShape(1, 33, 8), ImageShape(3, 65, 65)])
def test_a_decoder_has_as_many_convolutions_as_its_image_needs(shape):
    """Channels of a smaller image: the further convolutions have those of the layer before."""
    channels = (16, 8) if shape.channels == 1 else (16, 8, 4)
    decoder = LeNetDecoder(shape, channels, 32)
    assert decoder(torch.randn(2, 32)).shape == (2, *shape)
    counts = [layer[:2] for layer in convolutions(decoder)]
    assert counts[-2:] == [(16, 16), (16, shape.channels)]


PUBLISHED = {1: (8, 4), 3: (32, 64, 128)}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("sides", "further"),
    [
        ((32, 32), 0),
        ((33, 33), 1),
        ((64, 20), 1),
        ((65, 64), 2),
        ((128, 128), 2),
        ((256, 256), 3),
        ((8, 256), 0),
    ],
)
def test_depth_follows_the_longer_side_and_keeps_the_last_map_small(channels, sides, further):
    shape, base = ImageShape(channels, *sides), PUBLISHED[channels]
    if sides == (8, 256) and channels == 1:
        further = 1  # two published halvings leave a side of two pixels
    assert lenet_channels(shape) == (base[0],) * further + base
    assert dcgan_channels(shape)[-3:] == dcgan_channels(ImageShape(channels, 32, 32))
    if min(sides) > 31:
        most = LeNetEncoder(ImageShape(channels, 32, 32), base).features
        assert LeNetEncoder(shape, lenet_channels(shape)).features <= most


@pytest.mark.parametrize("sides", [(8, 8), (28, 28), (39, 39), (20, 46), (17, 64), (8, 100)])
def test_dcgan_networks_pad_where_they_must(sides):
    shape = ImageShape(3, *sides)
    channels = dcgan_channels(shape, 0.125)
    encoder, decoder = DCGANEncoder(shape, channels), DCGANDecoder(shape, channels, 5)
    assert encoder(torch.rand(2, *shape)).shape == (2, encoder.features)
    assert decoder(torch.randn(2, 5)).shape == (2, *shape)


def test_a_padded_image_is_the_image_in_the_middle_of_zeros():
    shape, larger = ImageShape(1, 28, 28), ImageShape(1, 32, 32)
    channels = dcgan_channels(shape, 0.125)
    small, large = DCGANEncoder(shape, channels).eval(), DCGANEncoder(larger, channels).eval()
    large.load_state_dict(small.state_dict())
    image = torch.rand(2, *shape)
    padded = nn.functional.pad(image, (2, 2, 2, 2))
    assert torch.allclose(small(image), large(padded), atol=1e-6)
    narrow, wide = (
        DCGANDecoder(shape, channels, 5).eval(),
        DCGANDecoder(larger, channels, 5).eval(),
    )
    wide.load_state_dict(narrow.state_dict())
    code = torch.randn(2, 5)
    assert torch.allclose(narrow(code), wide(code)[..., 2:-2, 2:-2], atol=1e-6)


@pytest.mark.parametrize("shape", [GREY, ImageShape(3, 16, 17)])
def test_without_biases_no_bias_is_left(shape):
    channels = lenet_channels(shape)
    for module in (
        LeNetEncoder(shape, channels, bias=False),
        LeNetDecoder(shape, channels, 16, bias=False),
    ):
        assert [name for name, _ in module.named_parameters() if "bias" in name] == []


def published_layers(encoder: LeNetEncoder) -> nn.Sequential:
    """The encoder as published: batch normalisation, LeakyReLU, then pooling."""
    layers: list[nn.Module] = []
    for layer in encoder.layers:
        if isinstance(layer, PooledBatchNorm2d):
            layers += [nn.BatchNorm2d(layer.num_features, affine=False), nn.MaxPool2d(2)]
        elif isinstance(layer, nn.LeakyReLU):
            layers.insert(-1, layer)
        else:
            layers.append(layer)
    return nn.Sequential(*layers).to(encoder.layers[0].weight.dtype)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [GREY, ImageShape(3, 16, 19)])
def test_the_encoder_is_the_published_one(shape, training):
    encoder = LeNetEncoder(shape, lenet_channels(shape)).double().train(training)
    published = published_layers(encoder).train(training)
    results = []
    for network in (encoder, published):
        inputs = images(shape, 5).double().requires_grad_()
        features = network(inputs)
        weights = torch.randn(features.shape, generator=torch.Generator().manual_seed(1))
        parameters = list(encoder.parameters())
        gradients = torch.autograd.grad((features * weights).sum(), [inputs, *parameters])
        results.append([features, *gradients, *(buffer.double() for buffer in network.buffers())])
    for ours, theirs in zip(*results, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 6)])
@pytest.mark.parametrize("constant", [True, False])
def test_pooled_batch_norm_is_batch_norm_then_pooling(height, width, constant):
    ours, theirs = PooledBatchNorm2d(3).double(), nn.BatchNorm2d(3, affine=False).double()
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(4, 3, height, width, generator=generator, dtype=torch.float64)
    if constant:  # ties: the gradient goes to the same one of four equal values
        maps[:, :, :4] = 0.5
    results = []
    for layer in (ours, nn.Sequential(theirs, nn.MaxPool2d(2))):
        inputs = maps.clone().requires_grad_()
        pooled = layer(inputs)
        weights = torch.arange(pooled.numel(), dtype=torch.float64).reshape(pooled.shape).sin()
        results.append([pooled, *torch.autograd.grad((pooled * weights).sum(), inputs)])
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, atol=1e-12)
    for name, buffer in theirs.named_buffers():
        assert torch.allclose(ours.get_buffer(name).double(), buffer.double(), atol=1e-12), name


def test_running_statistics_without_momentum_are_the_mean_over_batches():
    ours, theirs = PooledBatchNorm2d(3), nn.BatchNorm2d(3, affine=False)
    generator = torch.Generator().manual_seed(0)
    ours.momentum = theirs.momentum = None
    for _ in range(3):
        maps = torch.randn(4, 3, 6, 6, generator=generator)
        ours(maps), theirs(maps)
    for name, buffer in theirs.named_buffers():
        assert torch.allclose(ours.get_buffer(name), buffer, atol=1e-6), name


def test_pooled_batch_norm_keeps_its_statistics_in_float32_under_bfloat16():
    layer = PooledBatchNorm2d(2)
    maps = torch.randn(64, 2, 8, 8, generator=torch.Generator().manual_seed(0)) + 1
    inputs = maps.bfloat16().requires_grad_()
    layer(inputs).float().sum().backward()
    assert inputs.grad is not None
    expected = inputs.detach().float().mean((0, 2, 3)) * layer.momentum
    assert torch.allclose(layer.running_mean, expected, atol=1e-5)


def test_a_second_derivative_in_training_mode_is_refused():
    layer, maps = PooledBatchNorm2d(2), torch.randn(4, 2, 4, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(layer(maps).square().sum(), maps, create_graph=True)
    with pytest.raises(NotImplementedError, match="no second derivative"):
        gradient.sum().backward()
