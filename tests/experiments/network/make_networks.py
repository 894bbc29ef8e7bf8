#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the networks in networks/ and what PyTorch computes with them: NAME.onnx and NAME.txt.

Not run by tests/run or CI, which take the files as they are in the repository. It needs Debian's
PyTorch (apt install python3-torch; 1.13 made these files), which no group of app/debian-packages
has for it is large.

NAME.txt: "images CHANNELS HEIGHT WIDTH COUNT", the pixels as bytes p in hex, each (p - 128) / 64;
"logits CLASSES", the logits as float32 in hex.

    make_networks.py            all, into networks/
    make_networks.py --full DIR ResNet-18 and ResNet-34 as for ImageNet, random weights, into DIR
"""
import os
import sys

import torch
from torch import nn

HERE = os.path.dirname(os.path.abspath(__file__))


def conv(ins, outs, kernel=3, stride=1, groups=1, bias=False):
    return nn.Conv2d(ins, outs, kernel, stride, kernel // 2, groups=groups, bias=bias)


class BasicBlock(nn.Module):
    def __init__(self, ins, outs, stride):
        super().__init__()
        self.conv1, self.bn1 = conv(ins, outs, 3, stride), nn.BatchNorm2d(outs)
        self.conv2, self.bn2 = conv(outs, outs), nn.BatchNorm2d(outs)
        self.down = None
        if stride != 1 or ins != outs:
            self.down = nn.Sequential(conv(ins, outs, 1, stride), nn.BatchNorm2d(outs))

    def forward(self, x):
        shortcut = x if self.down is None else self.down(x)
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + shortcut)


class ResNet(nn.Module):
    """ResNet-18 and -34 of He et al.: 7x7 stem, max-pool, four stages."""

    def __init__(self, blocks, width, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        stages, ins = [], width
        for stage, count in enumerate(blocks):
            outs = width << stage
            for block in range(count):
                stages.append(BasicBlock(ins, outs, 2 if stage > 0 and block == 0 else 1))
                ins = outs
        self.layers = nn.Sequential(*stages)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(ins, classes)

    def forward(self, x):
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        return self.fc(torch.flatten(self.avgpool(self.layers(x)), 1))


class ResNet32(nn.Module):
    """The CIFAR kind: 3x3 stem, three stages of five blocks, the mean by mean()."""

    def __init__(self, widths):
        super().__init__()
        self.conv1, self.bn1 = conv(3, widths[0]), nn.BatchNorm2d(widths[0])
        stages, ins = [], widths[0]
        for stage, outs in enumerate(widths):
            for block in range(5):
                stages.append(BasicBlock(ins, outs, 2 if stage > 0 and block == 0 else 1))
                ins = outs
        self.layers = nn.Sequential(*stages)
        self.fc = nn.Linear(ins, 10)

    def forward(self, x):
        x = self.layers(torch.relu(self.bn1(self.conv1(x))))
        return self.fc(x.mean(dim=[2, 3]))


class Mlp(nn.Module):
    """Flat images, a matrix product with its bias added apart, batch norm of a vector, softmax."""

    def __init__(self):
        super().__init__()
        self.fc1, self.bn = nn.Linear(48, 40), nn.BatchNorm1d(40)
        self.weights = nn.Parameter(torch.randn(40, 24) / 6)
        self.bias = nn.Parameter(torch.randn(24) / 6)
        self.drop, self.fc2 = nn.Dropout(0.5), nn.Linear(24, 10)

    def forward(self, x):
        x = torch.relu(self.bn(self.fc1(x)))
        x = torch.tanh(torch.matmul(x, self.weights) + self.bias)
        return torch.log_softmax(self.fc2(self.drop(x)), dim=1)


class LeNet(nn.Module):
    """Sigmoids, average pools, and the batch's size taken from the input."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 60), nn.Linear(60, 42), nn.Linear(42, 10)
        self.pool = nn.AvgPool2d(2)

    def forward(self, x):
        x = self.pool(torch.tanh(self.conv1(x)))
        x = self.pool(torch.sigmoid(self.conv2(x)))
        x = x.view(x.size(0), -1)
        return torch.softmax(self.fc3(torch.tanh(self.fc2(torch.tanh(self.fc1(x))))), dim=1)


class Vgg(nn.Module):
    """3x3 convolutions with a bias everywhere, max-pools, three dense layers with dropout."""

    def __init__(self):
        super().__init__()
        layers, ins = [], 3
        for outs in (8, "M", 16, "M", 24, 24, "M", 20, 20):
            if outs == "M":
                layers.append(nn.MaxPool2d(2))
            else:
                layers += [conv(ins, outs, bias=True), nn.ReLU(inplace=True)]
                ins = outs
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Linear(20 * 16, 32), nn.ReLU(True), nn.Dropout(),
                                        nn.Linear(32, 32), nn.ReLU(True), nn.Dropout(),
                                        nn.Linear(32, 10))

    def forward(self, x):
        return self.classifier(torch.flatten(self.features(x), 1))


class InvertedResidual(nn.Module):
    """MobileNet-v2's: 1x1, depthwise 3x3, ReLU6, a linear bottleneck."""

    def __init__(self, ins, outs, stride, expand):
        super().__init__()
        hidden, layers = ins * expand, []
        if expand != 1:
            layers += [conv(ins, hidden, 1), nn.BatchNorm2d(hidden), nn.ReLU6()]
        layers += [conv(hidden, hidden, 3, stride, hidden), nn.BatchNorm2d(hidden), nn.ReLU6(),
                   conv(hidden, outs, 1), nn.BatchNorm2d(outs)]
        self.layers, self.adds = nn.Sequential(*layers), stride == 1 and ins == outs

    def forward(self, x):
        return x + self.layers(x) if self.adds else self.layers(x)


class MobileNet2(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            conv(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU6(), InvertedResidual(8, 6, 1, 1),
            InvertedResidual(6, 12, 2, 6), InvertedResidual(12, 12, 1, 6),
            InvertedResidual(12, 20, 2, 6), InvertedResidual(20, 20, 1, 6), conv(20, 48, 1),
            nn.BatchNorm2d(48), nn.ReLU6())
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(48, 10))

    def forward(self, x):
        x = nn.functional.adaptive_avg_pool2d(self.features(x), (1, 1))
        return self.classifier(torch.flatten(x, 1))


class SqueezeExcite(nn.Module):
    """MobileNet-v3's: hard-swish, hard-sigmoid gates, a dilated depthwise convolution."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(conv(3, 16, 3, 2), nn.BatchNorm2d(16), nn.Hardswish())
        self.depthwise = nn.Conv2d(16, 16, 3, 1, 2, dilation=2, groups=16, bias=False)
        self.bn, self.reduce, self.expand = nn.BatchNorm2d(16), nn.Conv2d(16, 8, 1), nn.Conv2d(8, 16, 1)
        self.project, self.grouped = conv(16, 24, 1), conv(24, 24, 3, 1, 4)
        self.fc = nn.Linear(24, 10)

    def forward(self, x):
        x = self.stem(x)
        y = nn.functional.hardswish(self.bn(self.depthwise(x)))
        gate = nn.functional.adaptive_avg_pool2d(y, 1)
        gate = nn.functional.hardsigmoid(self.expand(torch.relu(self.reduce(gate))))
        y = self.project(y * gate)
        y = nn.functional.silu(self.grouped(y))
        return self.fc(y.mean([2, 3]))


class DenseConcat(nn.Module):
    """DenseNet's batch norm before a convolution and Inception's branches, joined by channels."""

    def __init__(self):
        super().__init__()
        self.stem, self.layers, channels = conv(3, 10, 3), nn.ModuleList(), 10
        for _ in range(3):
            self.layers.append(nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(),
                                             conv(channels, 16, 1), nn.BatchNorm2d(16), nn.ReLU(),
                                             conv(16, 6)))
            channels += 6
        self.squeeze = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(), conv(channels, 12, 1),
                                     nn.AvgPool2d(2, 2))
        self.a = nn.Conv2d(12, 9, 1)
        self.b = nn.Sequential(nn.Conv2d(12, 8, 1), nn.ReLU(), nn.Conv2d(8, 11, (1, 7), padding=(0, 3)),
                               nn.ReLU(), nn.Conv2d(11, 7, (7, 1), padding=(3, 0)))
        self.c = nn.Sequential(nn.AvgPool2d(3, 1, 1), nn.Conv2d(12, 5, 1))
        self.d = nn.MaxPool2d(3, 1, 1)
        self.last, self.fc = nn.MaxPool2d(3, 2, ceil_mode=True), nn.Linear(33 * 16, 10)

    def forward(self, x):
        x = self.stem(x)
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        x = self.squeeze(x)
        x = torch.relu(torch.cat([self.a(x), self.b(x), self.c(x), self.d(x)], 1))
        x = self.last(x)
        return self.fc(x.reshape(x.shape[0], x.shape[1] * x.shape[2] * x.shape[3]))


class LeakyPreactivation(nn.Module):
    """Images normalised by the network, zeros padded apart, LeakyReLU, batch norm before each
    convolution, a batch norm of the flattened image, features joined."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.2, -0.1, 0.3]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.5, 1.3, 0.8]).view(1, 3, 1, 1))
        self.pad, self.conv1 = nn.ZeroPad2d((0, 1, 2, 1)), nn.Conv2d(3, 14, 3, 2, bias=False)
        self.bn2, self.act, self.conv2 = nn.BatchNorm2d(14), nn.LeakyReLU(0.1), conv(14, 18)
        self.bn3, self.conv3 = nn.BatchNorm2d(18), conv(18, 4, 3, 2)
        self.elu, self.bn4 = nn.ELU(), nn.BatchNorm1d(80)
        self.side, self.fc = nn.Linear(80, 9), nn.Linear(80 + 9, 10)

    def forward(self, x):
        x = self.conv1(self.pad((x - self.mean) / self.std))
        x = self.conv2(self.act(self.bn2(x)))
        x = self.conv3(self.act(self.bn3(x)) * 0.5 + 0.1)
        x = self.bn4(torch.flatten(self.elu(x), 1))
        return self.fc(torch.cat([x, self.side(x).clamp(-1, 0.7)], 1))


def prepare(network, images):
    """Statistics as after training, so that batch norms do something."""
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(module.weight, 0.6, 1.4)
            nn.init.normal_(module.bias, 0, 0.2)
            module.momentum = None
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn_like(images))
    return network.eval()


def export(network, images, path, **options):
    torch.onnx.export(network, images[:1], path, input_names=["images"], output_names=["logits"],
                      **{"opset_version": 13, "do_constant_folding": True,
                         "dynamic_axes": {"images": {0: "batch"}}, **options})


def save(name, network, shape, folder, count=4, **options):
    torch.manual_seed(sum(name.encode()))
    pixels = (torch.randn(count, *shape) * 50 + 128).clamp(0, 255).to(torch.uint8)
    images = (pixels.float() - 128) / 64
    network = prepare(network, torch.randn(32, *shape))
    with torch.no_grad():
        logits = network(images)
    export(network, images, os.path.join(folder, name + ".onnx"), **options)
    with open(os.path.join(folder, name + ".txt"), "w") as file:
        shape = list(shape) + [1] * (3 - len(shape))
        file.write("images %d %d %d %d\n%s\n" % (*shape, count, pixels.numpy().tobytes().hex()))
        file.write("logits %d\n%s\n" % (logits.shape[1], logits.numpy().astype("<f4").tobytes().hex()))


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--full":
        for name, blocks in (("resnet18", (2, 2, 2, 2)), ("resnet34", (3, 4, 6, 3))):
            torch.manual_seed(1)
            save(name, ResNet(blocks, 64, 1000), (3, 224, 224), sys.argv[2], count=2)
        return
    folder = os.path.join(HERE, "networks")
    torch.manual_seed(1)
    # A network whose batch is fixed and whose batch norms the exporter has merged, as PyTorch does
    # unless told otherwise, and one with the batch norms kept.
    kept = {"training": torch.onnx.TrainingMode.PRESERVE}
    save("mlp", Mlp(), (48,), folder)
    save("lenet", LeNet(), (1, 28, 28), folder)
    save("vgg", Vgg(), (3, 32, 32), folder, dynamic_axes={}, opset_version=9)
    save("resnet18", ResNet((2, 2, 2, 2), 6, 12), (3, 64, 64), folder, **kept)
    save("resnet34", ResNet((3, 4, 6, 3), 4, 10), (3, 64, 64), folder, dynamic_axes={})
    save("resnet32", ResNet32((4, 6, 10)), (3, 32, 32), folder, **kept)
    save("mobilenet2", MobileNet2(), (3, 32, 32), folder, **kept)
    save("squeeze_excite", SqueezeExcite(), (3, 32, 32), folder, opset_version=14)
    save("dense_concat", DenseConcat(), (3, 16, 16), folder)
    save("leaky_preactivation", LeakyPreactivation(), (3, 16, 16), folder, **kept)


if __name__ == "__main__":
    main()
