"""What setuptools runs; see build_backend.py."""

from setuptools import setup

from build_backend import BuildEngine, extensions

setup(ext_modules=extensions(), cmdclass={"build_ext": BuildEngine})
