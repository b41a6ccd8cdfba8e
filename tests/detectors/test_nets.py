"""Encoders and decoders: sizes, refusals, and the order of pooling and LeakyReLU."""

import pytest
import torch
from torch import nn

from tune_ad.detectors.nets import ImageShape, LeNetDecoder, LeNetEncoder, lenet_channels
from tune_ad.detectors.nets.doubling import MOST_INTERLEAVED_CHANNELS, Doubling
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


def convolutions(decoder: LeNetDecoder) -> list[tuple[int, int, tuple[int, ...]]]:
    return [
        (layer.in_channels, layer.out_channels, layer.padding)
        for layer in decoder.modules()
        if isinstance(layer, nn.ConvTranspose2d)
    ]


def doublings(decoder: LeNetDecoder) -> int:
    return sum(isinstance(layer, nn.Upsample) for layer in decoder.modules())


def test_released_decoders_are_built_layer_by_layer():
    grey = LeNetDecoder(GREY, lenet_channels(GREY), 32)
    assert convolutions(grey) == [(2, 4, (2, 2)), (4, 8, (3, 3)), (8, 1, (2, 2))]
    assert doublings(grey) == 3
    colour = LeNetDecoder(COLOUR, lenet_channels(COLOUR), 128)
    assert convolutions(colour) == [
        (8, 128, (2, 2)),
        (128, 64, (2, 2)),
        (64, 32, (2, 2)),
        (32, 3, (2, 2)),
    ]
    assert not isinstance(colour.layers[1], nn.Upsample)  # the first convolution sees 4x4
    assert doublings(colour) == 3


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


@pytest.mark.parametrize(
    ("shape", "largest"), [(ImageShape(1, 33, 8), 32), (ImageShape(3, 65, 65), 64)]
)
def test_an_image_that_the_decoder_cannot_reach_is_refused(shape, largest):
    with pytest.raises(UserError, match=f"at most {largest} .* have {shape.height}"):
        LeNetDecoder(shape, lenet_channels(shape), 32)


@pytest.mark.parametrize("shape", [GREY, ImageShape(3, 16, 17)])
def test_without_biases_no_bias_is_left(shape):
    channels = lenet_channels(shape)
    for module in (
        LeNetEncoder(shape, channels, bias=False),
        LeNetDecoder(shape, channels, 16, bias=False),
    ):
        assert [name for name, _ in module.named_parameters() if "bias" in name] == []


def before_pooling(encoder: LeNetEncoder) -> nn.Sequential:
    """The same layers with LeakyReLU in its published place."""
    layers = list(encoder.layers)
    for k in range(len(layers) - 1):
        if isinstance(layers[k], nn.MaxPool2d) and isinstance(layers[k + 1], nn.LeakyReLU):
            layers[k], layers[k + 1] = layers[k + 1], layers[k]
    return nn.Sequential(*layers)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [GREY, ImageShape(3, 16, 19)])
def test_leaky_relu_commutes_with_pooling_exactly(shape, training):
    encoder = LeNetEncoder(shape, lenet_channels(shape)).train(training)
    published = before_pooling(encoder)
    assert list(map(type, published)) != list(map(type, encoder.layers))
    results = []
    for network in (encoder, published):
        inputs = images(shape, 5).requires_grad_()
        features = network(inputs)
        weights = torch.randn(features.shape, generator=torch.Generator().manual_seed(1))
        parameters = list(encoder.parameters())
        gradients = torch.autograd.grad((features * weights).sum(), [inputs, *parameters])
        results.append([features, *gradients])
    for ours, theirs in zip(*results, strict=True):
        assert torch.equal(ours, theirs)
