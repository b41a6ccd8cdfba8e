"""Loads images from .npz files, torchvision or package registries."""
