"""Neural networks on top of autograd-mini: networks of `Value`s, losses, optimizers, training and checkpoints."""

from nn.array_files import ArrayFiles
from nn.blockwise import Blockwise
from nn.callbacks import Checkpoint, EarlyStopping, TrainingState
from nn.checkpoint import SavedTraining, load_checkpoint, save_checkpoint
from nn.classifiers import Classifier, heaviside, softmax
from nn.clipping import clip_grad_norm, clip_grad_value
from nn.gradient_descent import Descent, gradient_descent
from nn.history import History
from nn.losses import (
    accuracy,
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    hinge_loss,
    mse_loss,
    negative_log_likelihood,
    zero_one_loss,
)
from nn.minimize import least_squares, minimize
from nn.modules import MLP, Layer, Module, Neuron
from nn.objectives import hessian_vector_product
from nn.onnx_export import export_onnx
from nn.optimizers import SGD, Adam, AdamW
from nn.process_group import ProcessGroupError, join_process_group
from nn.schedules import Constant, CosineDecay, ExponentialDecay, InverseTimeDecay, LinearWarmup, StepDecay
from nn.search import Minimum
from nn.training import DivergenceError, fit
from nn.weights import from_numpy, from_torch_state_dict, to_numpy, to_torch_state_dict

__all__ = [
    "MLP",
    "SGD",
    "Adam",
    "AdamW",
    "ArrayFiles",
    "Blockwise",
    "Checkpoint",
    "Classifier",
    "Constant",
    "CosineDecay",
    "Descent",
    "DivergenceError",
    "EarlyStopping",
    "ExponentialDecay",
    "History",
    "InverseTimeDecay",
    "Layer",
    "LinearWarmup",
    "Minimum",
    "Module",
    "Neuron",
    "ProcessGroupError",
    "SavedTraining",
    "StepDecay",
    "TrainingState",
    "accuracy",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "clip_grad_norm",
    "clip_grad_value",
    "cross_entropy",
    "export_onnx",
    "fit",
    "from_numpy",
    "from_torch_state_dict",
    "gradient_descent",
    "heaviside",
    "hessian_vector_product",
    "hinge_loss",
    "join_process_group",
    "least_squares",
    "load_checkpoint",
    "minimize",
    "mse_loss",
    "negative_log_likelihood",
    "save_checkpoint",
    "softmax",
    "to_numpy",
    "to_torch_state_dict",
    "zero_one_loss",
]
