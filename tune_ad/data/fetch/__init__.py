"""Where images come from: files of a user's own, torchvision, package registries."""
