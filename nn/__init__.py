"""Small neural networks on top of autograd-mini: networks of `Value`s, losses, optimizers and training."""

from nn.losses import mse_loss
from nn.modules import MLP, Layer, Module, Neuron
from nn.optimizers import SGD
from nn.training import fit

__all__ = ["MLP", "SGD", "Layer", "Module", "Neuron", "fit", "mse_loss"]
