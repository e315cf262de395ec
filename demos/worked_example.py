"""Backpropagation through the worked example of Gill & Gill, section 5.1, every number beside the paper's own."""

from pathlib import Path

from nn.worked_example import show

if __name__ == "__main__":
    show(Path("pictures"))
