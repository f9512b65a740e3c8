"""Class evidence against torchcam, and against images of which one part alone decides."""

import pytest
import torch
from inspection.networks import resnet, vit
from torch import nn
from torchcam.methods import GradCAM

from bench.inspection.evidence import grad_cam, occlusion
from bench.inspection.tokens import NotShown


def test_grad_cam_agrees_with_torchcam():
    network, image = resnet(), torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    ours = grad_cam(network, image, 3)
    with GradCAM(network, "layer4", input_shape=(3, 64, 64)) as theirs:
        (expected,) = theirs(3, network(image), normalized=False)
    torch.testing.assert_close(ours, expected[0], atol=1e-6, rtol=1e-4)


class Flattened(nn.Module):
    """Reads the class from every place with a weight of its own, so that gradients differ by place."""

    def __init__(self):
        super().__init__()
        self.features, self.head = nn.Conv2d(3, 6, 3), nn.Linear(6 * 36, 4)

    def forward_features(self, images):
        return self.features(images)

    def forward_head(self, maps):
        return self.head(maps.flatten(1))

    def forward(self, images):
        return self.forward_head(self.forward_features(images))


def test_grad_cam_averages_gradients_over_places():
    torch.manual_seed(0)
    network, image = Flattened().eval(), torch.randn(1, 3, 8, 8)
    with GradCAM(network, "features", input_shape=(3, 8, 8)) as theirs:
        (expected,) = theirs(2, network(image), normalized=False)
    torch.testing.assert_close(grad_cam(network, image, 2), expected[0])


def test_a_network_without_a_feature_map_says_so():
    with pytest.raises(NotShown, match="feature map"):
        grad_cam(vit(), torch.zeros(1, 3, 32, 32), 0)


class Corner(nn.Module):
    """Says class 1 the more, the brighter the upper left quarter is."""

    def forward(self, images):
        bright = images[:, :, :16, :16].mean((1, 2, 3))
        return torch.stack([torch.zeros_like(bright), 2 * bright], 1)


def test_occlusion_takes_away_what_is_covered():
    image = torch.ones(1, 3, 32, 32)
    lost, whole = occlusion(Corner(), image, 1, box=8, stride=8)
    assert lost.shape == (4, 4) and whole == pytest.approx(1 / (1 + torch.e**-2))
    quarter = torch.sigmoid(torch.tensor(2.0)) - torch.sigmoid(torch.tensor(1.5))
    expected = torch.zeros(4, 4)
    expected[:2, :2] = quarter
    torch.testing.assert_close(lost, expected, atol=1e-6, rtol=0)
